// Any bytes as a datagram of PyTorch's on-demand profiler.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/attach/dynolog.h"
#include "tests/fuzz/expect.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dsocr::attach;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const std::optional<DynologRequest> request = DecodeDynologRequest(bytes); request.has_value()) {
    dsocr::Expect(!request->pids.empty() && request->pids.size() <= kMaxDynologPids, "a request is of somebody");
    const std::optional<DynologRequest> again = DecodeDynologRequest(EncodeDynologRequest(*request));
    dsocr::Expect(again.has_value() && again->pids == request->pids && again->job == request->job &&
                      again->activities == request->activities,
                  "a request comes back as it was");
  }
  if (const std::optional<std::string> reply = DecodeDynologReply(bytes); reply.has_value()) {
    dsocr::Expect(DecodeDynologReply(EncodeDynologReply(*reply)) == reply, "a reply comes back as it was");
  }
  return 0;
}
