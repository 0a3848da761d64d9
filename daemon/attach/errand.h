// What must not be left half done: a child process does it, and goes on if this one is killed meanwhile.
#ifndef DSOCR_DAEMON_ATTACH_ERRAND_H_
#define DSOCR_DAEMON_ATTACH_ERRAND_H_

#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace dsocr::attach {

// What `work` returns, which a forked child does, in a session of its own, with every signal blocked that can be. There
// it finds of this process's descriptors those in `kept` alone, and of its threads the one that called: so it may
// allocate, and must wait for no lock that another thread could hold. INTERNAL: the child ended without a word.
absl::StatusOr<UniqueFd> DoInChild(const std::vector<int>& kept, const std::function<absl::StatusOr<UniqueFd>()>& work);

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_ERRAND_H_
