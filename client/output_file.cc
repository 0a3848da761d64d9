#include "client/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "fmt/format.h"

namespace dsocr::client {
namespace {

absl::Status AlreadyThere(const std::string& path) {
  return absl::AlreadyExistsError(fmt::format("'{}': is there already; give --force to overwrite it", path));
}

}  // namespace

absl::StatusOr<OutputFile> OutputFile::Create(const std::string& path, bool may_overwrite) {
  struct stat status;
  const bool is_there = ::lstat(path.c_str(), &status) == 0;
  if (is_there && S_ISDIR(status.st_mode)) {
    return absl::InvalidArgumentError(fmt::format("'{}': is a directory; give a file", path));
  }
  if (is_there && !may_overwrite) {
    return AlreadyThere(path);
  }
  std::string temporary = path + ".XXXXXX";
  UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd.valid()) {
    return absl::InvalidArgumentError(
        fmt::format("'{}': {}; give a file in a directory that you can write in", path, std::strerror(errno)));
  }
  const mode_t mask = ::umask(0);  // mkostemp makes 0600 whatever the mask
  ::umask(mask);
  ::fchmod(fd.get(), 0666 & ~mask);
  return OutputFile(path, may_overwrite, std::move(temporary), std::move(fd));
}

OutputFile::OutputFile(std::string path, bool may_overwrite, std::string temporary, UniqueFd fd)
    : path_(std::move(path)), may_overwrite_(may_overwrite), temporary_(std::move(temporary)), fd_(std::move(fd)) {}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      may_overwrite_(other.may_overwrite_),
      temporary_(std::exchange(other.temporary_, "")),
      fd_(std::move(other.fd_)) {}

OutputFile::~OutputFile() {
  if (!temporary_.empty()) {
    ::unlink(temporary_.c_str());
  }
}

absl::Status OutputFile::Error(absl::StatusCode code, int error) const {
  return absl::Status(code, fmt::format("'{}': {}; nothing was written", path_, std::strerror(error)));
}

absl::Status OutputFile::Write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd_.get(), text.data(), text.size());
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written < 0) {
      return Error(absl::StatusCode::kInternal, errno);
    }
    text.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status OutputFile::Commit() {
  if (::fsync(fd_.get()) != 0) {
    return Error(absl::StatusCode::kInternal, errno);
  }
  // link() refuses an existing name, so a file that came in the meantime stays.
  const bool is_placed = may_overwrite_ ? ::rename(temporary_.c_str(), path_.c_str()) == 0
                                        : ::link(temporary_.c_str(), path_.c_str()) == 0;
  if (!is_placed) {
    return errno == EEXIST ? AlreadyThere(path_) : Error(absl::StatusCode::kInternal, errno);
  }
  if (!may_overwrite_) {
    ::unlink(temporary_.c_str());
  }
  temporary_.clear();
  return absl::OkStatus();
}

}  // namespace dsocr::client
