// Kineto's trace (Chrome's JSON) as the few numbers of it that attribution needs.
//
// Events come in any order, on any number of threads. Kept of them: operators of ATen (cat cpu_op), calls of modules
// (python_function "nn.Module: Class_k") and annotations (user_annotation), launches (cuda_runtime, cuda_driver) and
// what the device did (kernel, gpu_memcpy, gpu_memset). The names of these categories before torch 1.12 are known,
// too; other events are counted and left out.
//
// Memory: 32 bytes a host event and 64 a device event that is kept, a tenth of the file or so, and the distinct names.
// Measured: 189 to 222 MB/s over 44 MB of torch 2.11 with stacks, on 2 cores shared with other work (22 Nov 2026).
#ifndef DSOCR_DAEMON_ATTACH_CHROME_TRACE_H_
#define DSOCR_DAEMON_ATTACH_CHROME_TRACE_H_

#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cupti/record/record.h"

namespace dsocr::attach {

// Of two that take exactly the same time the former stands around the latter.
enum class HostKind : uint8_t { kRange, kOperator, kLaunch };

// Times: nanoseconds since the first event that was kept, from 1.
struct HostEvent {
  int64_t start_ns = 0;
  int64_t end_ns = 0;       // >= start_ns
  uint64_t id = 0;          // operator: the external id; launch: the correlation id; 0: none
  record::NameId name = 0;  // of a launch: none
  uint16_t thread = 0;
  HostKind kind = HostKind::kRange;
  bool is_module = false;  // a range that is a module's call
};

struct DeviceEvent {
  int64_t start_ns = 0;
  int64_t end_ns = 0;
  uint64_t correlation = 0;  // 0: none
  uint64_t external_id = 0;  // 0: none
  uint64_t bytes = 0;        // of a copy or set
  record::NameId name = 0;
  uint32_t stream = 0;
  uint32_t context = 0;
  uint16_t device = 0;
  record::Kind kind = record::Kind::kKernel;  // or kCopy, kSet
};

struct ChromeTrace {
  std::vector<std::string> names;    // by NameId; the first is empty. UTF-8, at most record::kMaxNameBytes
  std::vector<uint32_t> thread_ids;  // by thread
  std::vector<HostEvent> host;       // in the order of the file
  std::vector<DeviceEvent> device;
  int64_t events = 0;          // all that the file has
  int64_t left_out = 0;        // of the kinds above, whose numbers make no sense
  std::string first_left_out;  // what is wrong with the first of them, and where
};

inline constexpr size_t kMaxTraceEvents = 16 * 1024 * 1024;  // that are kept: 512 MiB

// From the file's position on. `is_cancelled` is asked now and then.
// Errors: DATA_LOSS for bytes that are no such trace, with the offset; RESOURCE_EXHAUSTED; CANCELLED.
absl::StatusOr<ChromeTrace> ReadChromeTrace(std::FILE* file, const std::function<bool()>& is_cancelled);

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_CHROME_TRACE_H_
