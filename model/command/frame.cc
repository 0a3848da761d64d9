#include "model/command/frame.h"

#include <unistd.h>

#include <array>
#include <cerrno>

#include "model/error.h"

namespace dsocr::model {
namespace {

// Bytes read: `size`, or fewer at end of file or error.
size_t ReadFully(int fd, char* to, size_t size) {
  size_t done = 0;
  while (done < size) {
    const ssize_t count = ::read(fd, to + done, size - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    done += static_cast<size_t>(count);
  }
  return done;
}

[[noreturn]] void FailFrame(const std::string& why) {
  throw InputError(ErrorCode::kInvalidArgument, "request frame", why, "send one frame as docs/runner-protocol.md says");
}

}  // namespace

std::optional<std::string> ReadFrame(int fd) {
  std::array<unsigned char, 4> header = {};
  const size_t header_bytes = ReadFully(fd, reinterpret_cast<char*>(header.data()), header.size());
  if (header_bytes == 0) return std::nullopt;
  if (header_bytes < header.size()) FailFrame("ends inside its length");
  const uint32_t length =
      uint32_t{header[0]} | uint32_t{header[1]} << 8 | uint32_t{header[2]} << 16 | uint32_t{header[3]} << 24;
  if (length > kMaxFrameBytes) {
    FailFrame("of " + std::to_string(length) + " bytes exceeds the limit of " + std::to_string(kMaxFrameBytes));
  }
  std::string payload(length, '\0');
  if (ReadFully(fd, payload.data(), length) < length) FailFrame("ends before its " + std::to_string(length) + " bytes");
  return payload;
}

bool WriteFrame(int fd, std::string_view payload) {
  const uint32_t length = static_cast<uint32_t>(payload.size());
  std::string frame;
  frame.reserve(payload.size() + 4);
  for (int shift = 0; shift < 32; shift += 8) frame.push_back(static_cast<char>(length >> shift & 0xff));
  frame += payload;
  size_t done = 0;
  while (done < frame.size()) {
    const ssize_t count = ::write(fd, frame.data() + done, frame.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    done += static_cast<size_t>(count);
  }
  return true;
}

}  // namespace dsocr::model
