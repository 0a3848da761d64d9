#include "daemon/attach/target_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "base/status.h"
#include "fmt/format.h"

namespace dsocr::attach {
namespace {

constexpr char kTmp[] = "/tmp";  // Kineto writes nowhere else

// `path` below `root`, whatever links stand on the way: an absolute one begins at `root` again.
UniqueFd OpenInRoot(int root, const std::string& path) {
  open_how how{.flags = O_DIRECTORY | O_RDONLY | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
  return UniqueFd(static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof(how))));
}

absl::StatusOr<std::string> RandomName() {
  uint64_t words[2];
  if (::getrandom(words, sizeof(words), 0) != sizeof(words)) {
    return absl::ErrnoToStatus(errno, "no random numbers");
  }
  return fmt::format("dsocr-{:016x}{:016x}", words[0], words[1]);
}

void RemoveFiles(int directory) {
  struct Closer {
    void operator()(DIR* stream) const { ::closedir(stream); }
  };
  UniqueFd copy(::openat(directory, ".", O_DIRECTORY | O_RDONLY | O_CLOEXEC));
  const std::unique_ptr<DIR, Closer> stream(::fdopendir(copy.get()));
  if (stream == nullptr) {
    return;
  }
  copy.release();
  while (const dirent* const entry = ::readdir(stream.get())) {
    ::unlinkat(directory, entry->d_name, 0);  // "." and ".." refuse
  }
}

}  // namespace

absl::StatusOr<UniqueFd> OpenTargetDirectory(int proc, const std::string& path) {
  const UniqueFd root(::openat(proc, "root", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root.valid()) {
    return absl::ErrnoToStatus(errno, "the process's file system cannot be seen");
  }
  UniqueFd directory = OpenInRoot(root.get(), path);
  if (!directory.valid()) {
    return errno == ENOENT || errno == ENOTDIR || errno == ELOOP
               ? absl::FailedPreconditionError(fmt::format("the process has no directory '{}'", path))
               : absl::ErrnoToStatus(errno, fmt::format("the process's directory '{}' cannot be opened", path));
  }
  return directory;
}

TargetScratch::TargetScratch(UniqueFd parent, UniqueFd directory, std::string name, uid_t uid)
    : parent_(std::move(parent)),
      directory_(std::move(directory)),
      name_(std::move(name)),
      path_(fmt::format("{}/{}", kTmp, name_)),
      uid_(uid) {}

absl::StatusOr<TargetScratch> TargetScratch::Make(int proc, uid_t uid, gid_t gid) {
  DSOCR_ASSIGN_OR_RETURN(UniqueFd parent, OpenTargetDirectory(proc, kTmp));
  DSOCR_ASSIGN_OR_RETURN(std::string name, RandomName());
  if (::mkdirat(parent.get(), name.c_str(), 0700) != 0) {
    return absl::ErrnoToStatus(errno, fmt::format("no directory can be made in the process's {}", kTmp));
  }
  UniqueFd directory(::openat(parent.get(), name.c_str(), O_DIRECTORY | O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status;
  const bool is_ours = directory.valid() && ::fstat(directory.get(), &status) == 0 && status.st_uid == ::geteuid() &&
                       (::geteuid() == uid || ::fchown(directory.get(), uid, gid) == 0);
  const int error = errno;
  TargetScratch scratch(std::move(parent), std::move(directory), std::move(name), uid);
  if (!is_ours) {
    return absl::ErrnoToStatus(error, fmt::format("the directory '{}' cannot be handed over", scratch.path()));
  }
  return scratch;
}

TargetScratch::~TargetScratch() {
  // A file may come while they are removed: the process renames one into place.
  for (int i = 0; i < 3 && parent_.valid(); ++i) {
    if (directory_.valid()) {
      RemoveFiles(directory_.get());
    }
    if (::unlinkat(parent_.get(), name_.c_str(), AT_REMOVEDIR) == 0) {
      break;
    }
  }
}

absl::StatusOr<UniqueFd> TargetScratch::Open(const std::string& name) const {
  UniqueFd file(::openat(fd(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file.valid() && errno == ENOENT) {
    return file;
  }
  struct stat status;
  if (!file.valid() || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_uid != uid_ ||
      status.st_nlink != 1) {
    return absl::FailedPreconditionError(fmt::format("'{}/{}' is not a plain file of uid {}", path_, name, uid_));
  }
  return file;
}

}  // namespace dsocr::attach
