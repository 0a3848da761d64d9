// Frames between dsocrd and `dsocr-runner serve`: a 32-bit little-endian length and that many bytes of UTF-8 JSON.
#ifndef DSOCR_MODEL_COMMAND_FRAME_H_
#define DSOCR_MODEL_COMMAND_FRAME_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace dsocr::model {

inline constexpr uint32_t kMaxFrameBytes = 1u << 20;

// Blocks for one frame. Nothing at end of file before its first byte; throws InputError for a frame that is longer than
// the limit or cut short.
std::optional<std::string> ReadFrame(int fd);

// Writes one frame, whole. False where the reader is gone. REQUIRES: payload.size() <= kMaxFrameBytes, SIGPIPE ignored.
bool WriteFrame(int fd, std::string_view payload);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_COMMAND_FRAME_H_
