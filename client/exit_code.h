// From a status to what the shell sees: the exit codes of contracts section 5 and the one line of an error.
#ifndef DSOCR_CLIENT_EXIT_CODE_H_
#define DSOCR_CLIENT_EXIT_CODE_H_

#include <string>

#include "absl/status/status.h"
#include "grpcpp/support/status.h"

namespace dsocr::client {

// Promised to scripts: do not renumber.
enum ExitCode {
  kExitDone = 0,
  kExitFailed = 1,
  kExitUsage = 2,
  kExitNoSuchThing = 3,
  kExitUnreachable = 4,
  kExitOutOfBound = 5,
  kExitNotPermitted = 6,
  kExitCancelled = 7,
};

ExitCode ExitCodeOf(const absl::Status& status);

// "dsocrctl: error: WHAT: WHY; WHAT TO DO\n". Line breaks and other control characters of the message become spaces.
std::string ErrorLine(const absl::Status& status);

// A status of the daemon's, or of gRPC's own, in our words. `address` is where the daemon should be.
absl::Status FromGrpc(const grpc::Status& status, const std::string& address);

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_EXIT_CODE_H_
