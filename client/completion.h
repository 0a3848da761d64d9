// Shell completion, made from the table of commands.
#ifndef DSOCR_CLIENT_COMPLETION_H_
#define DSOCR_CLIENT_COMPLETION_H_

#include <string>

#include "absl/status/statusor.h"

namespace dsocr::client {

// `shell`: bash, zsh or fish; INVALID_ARGUMENT for another.
absl::StatusOr<std::string> CompletionScript(const std::string& shell);

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_COMPLETION_H_
