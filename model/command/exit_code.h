// Exit codes of dsocr-runner, the same as dsocrctl's (docs: command line).
#ifndef DSOCR_MODEL_COMMAND_EXIT_CODE_H_
#define DSOCR_MODEL_COMMAND_EXIT_CODE_H_

#include "model/error.h"

namespace dsocr::model {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;       // something in here went wrong, or a verification did not pass
inline constexpr int kExitUsage = 2;        // wrong usage, bad or missing file
inline constexpr int kExitNoSuchThing = 3;  // device
inline constexpr int kExitNotPermitted = 6;
inline constexpr int kExitCancelled = 7;

int ExitCodeOf(const InputError& error);

// The code of the error event that says the same as the exit code: a file that is not there is bad input, only a device
// is not found.
ErrorCode EventCodeOf(const InputError& error);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_COMMAND_EXIT_CODE_H_
