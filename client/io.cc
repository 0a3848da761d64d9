#include "client/io.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "fmt/format.h"

namespace dsocr::client {
namespace {

constexpr size_t kFlushBytes = 64 * 1024;  // a pipe's capacity: more at a time gains nothing

absl::Status WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written < 0) {
      return absl::InternalError(fmt::format("standard output: {}; the result is incomplete", std::strerror(errno)));
    }
    text.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

}  // namespace

ProcessIo::ProcessIo() {
  out_is_terminal = ::isatty(STDOUT_FILENO) == 1;
  err_is_terminal = ::isatty(STDERR_FILENO) == 1;
  uid = ::getuid();
  std::error_code error;
  working_dir = std::filesystem::current_path(error).string();
  executable_dir = std::filesystem::read_symlink("/proc/self/exe", error).parent_path().string();
}

absl::StatusOr<std::string> ProcessIo::In(size_t max_bytes) {
  std::string bytes(max_bytes, '\0');
  ssize_t count = 0;
  do {
    count = ::read(STDIN_FILENO, bytes.data(), bytes.size());
  } while (count < 0 && errno == EINTR);
  if (count < 0) {
    return absl::InternalError(fmt::format("standard input: {}", std::strerror(errno)));
  }
  bytes.resize(static_cast<size_t>(count));
  return bytes;
}

void ProcessIo::Out(std::string_view text) {
  buffer_ += text;
  if (buffer_.size() >= kFlushBytes) {
    Flush().IgnoreError();  // remembered
  }
}

void ProcessIo::Err(std::string_view text) {
  WriteAll(STDERR_FILENO, text).IgnoreError();  // there is nowhere left to say it
}

absl::Status ProcessIo::Flush() {
  if (status_.ok()) {
    status_ = WriteAll(STDOUT_FILENO, buffer_);
  }
  buffer_.clear();
  return status_;
}

std::optional<std::string> ProcessIo::Env(const std::string& name) const {
  const char* value = std::getenv(name.c_str());
  return value == nullptr || *value == '\0' ? std::nullopt : std::optional<std::string>(value);
}

std::string AbsolutePath(const Io& io, std::string_view path) {
  std::string absolute = (std::filesystem::path(io.working_dir) / path).lexically_normal().string();
  while (absolute.size() > 1 && absolute.back() == '/') {
    absolute.pop_back();
  }
  return absolute;
}

}  // namespace dsocr::client
