#include "daemon/run/frame.h"

#include <cassert>
#include <cstdint>

#include "absl/status/status.h"
#include "fmt/format.h"

namespace dsocr::run {

std::string EncodeFrame(std::string_view payload) {
  assert(payload.size() <= kMaxFrameBytes);
  std::string frame;
  frame.reserve(kFrameHeaderBytes + payload.size());
  for (size_t i = 0; i < kFrameHeaderBytes; ++i) {
    frame += static_cast<char>(payload.size() >> (8 * i) & 0xff);
  }
  frame += payload;
  return frame;
}

absl::StatusOr<std::optional<std::string>> FrameReader::Next() {
  if (buffer_.size() < kFrameHeaderBytes) {
    return std::nullopt;
  }
  uint32_t length = 0;
  for (size_t i = 0; i < kFrameHeaderBytes; ++i) {
    length |= static_cast<uint32_t>(static_cast<unsigned char>(buffer_[i])) << (8 * i);
  }
  if (length == 0 || length > kMaxFrameBytes) {
    return absl::InvalidArgumentError(fmt::format("a frame of {} bytes, expected 1 to {}", length, kMaxFrameBytes));
  }
  if (buffer_.size() < kFrameHeaderBytes + length) {
    return std::nullopt;
  }
  std::optional<std::string> payload = buffer_.substr(kFrameHeaderBytes, length);
  buffer_.erase(0, kFrameHeaderBytes + length);
  return payload;
}

}  // namespace dsocr::run
