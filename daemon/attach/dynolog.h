// The datagrams between PyTorch's on-demand profiler (Kineto) and a daemon, as dynolog defined them: bytes <-> structs.
//
//     datagram := size (8) | type, padded with NUL (32) | payload (`size` bytes)
//     request  := activities (4) | n (4) | job (8) | n pids (4 each)      the profiler asks, every few seconds
//     reply    := the text of a configuration; none: there is nothing to do
//
// Little-endian. Pure functions: nothing here trusts a length. Seen in torch 2.11; docs/attach.md has the whole
// exchange.
#ifndef DSOCR_DAEMON_ATTACH_DYNOLOG_H_
#define DSOCR_DAEMON_ATTACH_DYNOLOG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dsocr::attach {

// The name on which the daemon is expected. In the abstract namespace its trailing NUL is part of it.
inline constexpr std::string_view kDynologName = "dynolog";

inline constexpr size_t kMaxDynologPids = 256;  // a process and its ancestors
inline constexpr size_t kMaxDynologRequestBytes = 40 + 16 + 4 * kMaxDynologPids;

struct DynologRequest {
  static constexpr int32_t kActivities =
      2;  // bit of `activities`: it can take a trace now; not so while one is running

  int32_t activities = 0;
  int64_t job = 0;
  std::vector<int32_t> pids;  // its own, then its ancestors', as its pid namespace numbers them
};

// nullopt: not a request, to the byte.
std::optional<DynologRequest> DecodeDynologRequest(std::string_view datagram);
std::string EncodeDynologRequest(const DynologRequest& request);

// The configuration; nullopt: not a reply.
std::optional<std::string> DecodeDynologReply(std::string_view datagram);
std::string EncodeDynologReply(std::string_view configuration);

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_DYNOLOG_H_
