// Activity records as a version of CUPTI lays them out.
//
// A later version's struct begins with the earlier one's, so a record is a size and the fields of the oldest struct;
// what is younger stays zero.
#ifndef DSOCR_TESTS_FAKE_RECORDS_H_
#define DSOCR_TESTS_FAKE_RECORDS_H_

#include <cupti.h>

#include <cstddef>
#include <cstdint>

namespace dsocr::fake {

// A kind that no CUPTI has; its record is 64 bytes.
inline constexpr auto kUnknownKind = static_cast<CUpti_ActivityKind>(0x7d0);

enum class OperationKind : uint8_t { kKernel, kCopy, kSet };

// What the device is to do: of a launch, or of a graph's node.
struct Operation {
  OperationKind kind = OperationKind::kKernel;
  uint8_t copy_kind = 0;       // CUpti_ActivityMemcpyKind
  const char* name = nullptr;  // of a kernel; lives for ever
  uint64_t bytes = 0;          // of a copy or set
  int64_t duration_ns = 0;
};

constexpr CUpti_ActivityKind ActivityKindOf(OperationKind kind) {
  return kind == OperationKind::kKernel ? CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL
         : kind == OperationKind::kCopy ? CUPTI_ACTIVITY_KIND_MEMCPY
                                        : CUPTI_ACTIVITY_KIND_MEMSET;
}

// Where and when it was done. Times on CUPTI's clock.
struct Execution {
  uint64_t start = 0;
  uint64_t end = 0;
  uint32_t device = 0;
  uint32_t context = 0;
  uint32_t stream = 0;
  uint32_t correlation = 0;
  uint32_t graph = 0;  // 0: not of a graph
  uint64_t node = 0;
};

// A fact of the host. Which members mean something depends on the kind.
struct HostRecord {
  CUpti_ActivityKind kind = CUPTI_ACTIVITY_KIND_INVALID;
  uint32_t correlation = 0;
  uint64_t start = 0;
  uint64_t end = 0;
  uint32_t id = 0;  // API record: the function's cbid; external correlation: its kind; memory: the type of operation
  uint32_t context = 0;
  uint32_t stream = 0;
  uint32_t thread = 0;
  int result = 0;
  uint64_t value = 0;  // external correlation: its id; memory: the address
  uint64_t bytes = 0;
};

// Of a record of this kind in this version; 0: there is none.
size_t RecordBytes(CUpti_ActivityKind kind, uint32_t version);

// REQUIRES: RecordBytes() at `place`.
void WriteOperation(const Operation& operation, const Execution& execution, uint32_t version, void* place);
void WriteHostRecord(const HostRecord& record, uint32_t version, void* place);

}  // namespace dsocr::fake

#endif  // DSOCR_TESTS_FAKE_RECORDS_H_
