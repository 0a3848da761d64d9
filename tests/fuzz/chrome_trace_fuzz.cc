// Any bytes as a trace of PyTorch's profiler: read and folded.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <utility>

#include "daemon/attach/chrome_trace.h"
#include "daemon/attach/trace_fold.h"
#include "tests/fuzz/expect.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dsocr;
  if (size == 0) {
    return 0;
  }
  std::FILE* const file = fmemopen(const_cast<uint8_t*>(data), size, "rb");
  Expect(file != nullptr, "bytes are a file");
  auto trace = attach::ReadChromeTrace(file, [] { return false; });
  std::fclose(file);
  if (!trace.ok()) {
    Expect(trace.status().code() == absl::StatusCode::kDataLoss, "what is no trace is damaged data");
    return 0;
  }
  for (const attach::HostEvent& event : trace->host) {
    Expect(event.start_ns >= 1 && event.end_ns >= event.start_ns && event.name < trace->names.size() &&
               event.thread < trace->thread_ids.size(),
           "an event is in its trace");
  }
  const int64_t events = static_cast<int64_t>(trace->host.size() + trace->device.size());
  const attach::FoldedTrace folded = *attach::FoldTrace(*std::move(trace), {}, [] { return false; });
  Expect(folded.operations <= events, "an operation is an event");
  int64_t self_ns = 0;
  for (const attribution::ModuleSum& module : folded.attribution.request.modules) {
    self_ns += module.self_device_ns;
  }
  Expect(self_ns == folded.attribution.request.attributed_ns, "the parts are the whole");
  return 0;
}
