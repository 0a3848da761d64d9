#include <string>

#include "base/status.h"
#include "client/command/commands.h"
#include "client/completion.h"
#include "client/session.h"

namespace dsocr::client {
namespace {

absl::StatusOr<int> Completion(Session& session) {
  DSOCR_ASSIGN_OR_RETURN(const std::string script, CompletionScript(session.line().arguments[0]));
  session.Out(script);
  return kExitDone;
}

}  // namespace

Command CompletionCommand() {
  return {.name = "completion",
          .arguments = "bash|zsh|fish",
          .summary = "a completion script for your shell",
          .examples =
              "  source <(dsocrctl completion bash)\n"
              "  dsocrctl completion zsh > ~/.zfunc/_dsocrctl\n"
              "  dsocrctl completion fish > ~/.config/fish/completions/dsocrctl.fish\n",
          .min_arguments = 1,
          .max_arguments = 1,
          .run = Completion};
}

}  // namespace dsocr::client
