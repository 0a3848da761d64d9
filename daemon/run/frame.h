// Frames of docs/runner-protocol.md: a 32-bit little-endian length, at most kMaxFrameBytes, and that many bytes.
//
// The bytes come from another process and are hostile: a length past the limit is an error before anything is allocated
// for it.
#ifndef DSOCR_DAEMON_RUN_FRAME_H_
#define DSOCR_DAEMON_RUN_FRAME_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace dsocr::run {

inline constexpr size_t kMaxFrameBytes = size_t{1} << 20;
inline constexpr size_t kFrameHeaderBytes = 4;

// REQUIRES: payload.size() <= kMaxFrameBytes.
std::string EncodeFrame(std::string_view payload);

// Takes bytes in pieces of any size and gives frames.
class FrameReader {
 public:
  void Append(std::string_view bytes) { buffer_.append(bytes); }

  // The next whole frame, or nullopt until more bytes come. INVALID_ARGUMENT for a length of zero or past the limit,
  // now and ever after.
  absl::StatusOr<std::optional<std::string>> Next();

  bool has_partial_frame() const { return !buffer_.empty(); }

 private:
  std::string buffer_;  // at most one frame and one Append more
};

}  // namespace dsocr::run

#endif  // DSOCR_DAEMON_RUN_FRAME_H_
