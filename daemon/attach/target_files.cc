#include "daemon/attach/target_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "fmt/format.h"

namespace dsocr::attach {
namespace {

constexpr char kTmp[] = "/tmp";  // Kineto writes nowhere else
constexpr std::string_view kPrefix = "dsocr-";
constexpr size_t kRandomDigits = 32;
constexpr int kTries = 3;

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
  return fmt::format("{}{:016x}{:016x}", kPrefix, words[0], words[1]);
}

bool IsRandomName(std::string_view name) {
  return name.starts_with(kPrefix) && name.size() == kPrefix.size() + kRandomDigits &&
         name.find_first_not_of("0123456789abcdef", kPrefix.size()) == std::string_view::npos;
}

std::vector<std::string> NamesIn(int directory) {
  struct Closer {
    void operator()(DIR* stream) const { ::closedir(stream); }
  };
  UniqueFd copy(::openat(directory, ".", O_DIRECTORY | O_RDONLY | O_CLOEXEC));
  const std::unique_ptr<DIR, Closer> stream(::fdopendir(copy.get()));
  std::vector<std::string> names;
  if (stream == nullptr) {
    return names;
  }
  copy.release();
  while (const dirent* const entry = ::readdir(stream.get())) {
    names.emplace_back(entry->d_name);
  }
  return names;
}

void RemoveDirectory(int parent, const std::string& name, int directory) {
  // A file may come while they are removed: the process renames one into place.
  for (int i = 0; i < kTries; ++i) {
    for (const std::string& file : NamesIn(directory)) {
      ::unlinkat(directory, file.c_str(), 0);  // "." and ".." refuse
    }
    if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0) {
      return;
    }
  }
}

// A daemon holds the lock of its directories: who gets it has one that a daemon left when it was killed.
bool Lock(int directory) { return ::flock(directory, LOCK_EX | LOCK_NB) == 0; }

void RemoveStale(int parent, uid_t uid) {
  for (const std::string& name : NamesIn(parent)) {
    struct stat status;
    if (!IsRandomName(name)) {
      continue;
    }
    const UniqueFd directory(::openat(parent, name.c_str(), O_DIRECTORY | O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (directory.valid() && ::fstat(directory.get(), &status) == 0 && status.st_uid == uid && Lock(directory.get())) {
      RemoveDirectory(parent, name, directory.get());
    }
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
  RemoveStale(parent.get(), uid);
  struct stat status;
  std::string name;
  UniqueFd directory;
  // Before it is locked another daemon may take it for one that was left: then once more.
  bool is_locked = false;
  for (int tries = 0; tries < kTries && !is_locked; ++tries) {
    DSOCR_ASSIGN_OR_RETURN(name, RandomName());
    if (::mkdirat(parent.get(), name.c_str(), 0700) != 0) {
      return absl::ErrnoToStatus(errno, fmt::format("no directory can be made in the process's {}", kTmp));
    }
    directory.reset(::openat(parent.get(), name.c_str(), O_DIRECTORY | O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    is_locked =
        directory.valid() && Lock(directory.get()) && ::fstat(directory.get(), &status) == 0 && status.st_nlink > 0;
  }
  const bool is_ours =
      is_locked && status.st_uid == ::geteuid() && (::geteuid() == uid || ::fchown(directory.get(), uid, gid) == 0);
  const int error = errno;
  TargetScratch scratch(std::move(parent), std::move(directory), std::move(name), uid);
  if (!is_ours) {
    return absl::ErrnoToStatus(error, fmt::format("the directory '{}' cannot be handed over", scratch.path()));
  }
  return scratch;
}

TargetScratch::~TargetScratch() {
  if (parent_.valid() && directory_.valid()) {
    RemoveDirectory(parent_.get(), name_, directory_.get());
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
