// Files in the mount namespace of another process, which may be hostile: no link of its making leads out of its root.
#ifndef DSOCR_DAEMON_ATTACH_TARGET_FILES_H_
#define DSOCR_DAEMON_ATTACH_TARGET_FILES_H_

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace dsocr::attach {

// A directory, by its path as the process sees it. `proc`: its directory in /proc.
absl::StatusOr<UniqueFd> OpenTargetDirectory(int proc, const std::string& path);

// A directory of its own in the process's /tmp, mode 0700, of its user, with a name that nobody can foretell. Removed
// at the end of the scope with the files that are in it; what a daemon that was killed left there goes when the next
// one is made.
class TargetScratch {
 public:
  static absl::StatusOr<TargetScratch> Make(int proc, uid_t uid, gid_t gid);

  TargetScratch(TargetScratch&&) = default;
  TargetScratch& operator=(TargetScratch&&) = delete;
  ~TargetScratch();

  const std::string& path() const { return path_; }  // as the process sees it
  int fd() const { return directory_.get(); }

  // An invalid descriptor: it is not there. FAILED_PRECONDITION: it is there and is not a plain file of the user's.
  absl::StatusOr<UniqueFd> Open(const std::string& name) const;

 private:
  TargetScratch(UniqueFd parent, UniqueFd directory, std::string name, uid_t uid);

  UniqueFd parent_;
  UniqueFd directory_;
  std::string name_;
  std::string path_;
  uid_t uid_;
};

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_TARGET_FILES_H_
