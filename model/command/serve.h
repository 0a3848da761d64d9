// `dsocr-runner serve`: one request in, events out (docs/runner-protocol.md).
#ifndef DSOCR_MODEL_COMMAND_SERVE_H_
#define DSOCR_MODEL_COMMAND_SERVE_H_

namespace dsocr::model {

// Reads one request frame from `in_fd`, runs it, writes event frames to `out_fd`, and returns the exit code. End of
// file on `in_fd` before the last event ends the process with code 7 at once, from a thread that watches it. An error
// is the last event.
int RunServe(int in_fd, int out_fd);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_COMMAND_SERVE_H_
