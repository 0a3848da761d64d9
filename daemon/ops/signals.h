// Signals as events on a thread of their own, so that no code runs inside a signal handler.
#ifndef DSOCR_DAEMON_OPS_SIGNALS_H_
#define DSOCR_DAEMON_OPS_SIGNALS_H_

#include "absl/time/time.h"

namespace dsocr::ops {

enum class Signal { kNone, kStop, kReload };

// Blocks SIGTERM, SIGINT and SIGHUP, and ignores SIGPIPE, for the whole process. REQUIRES: called before the first
// thread starts.
void BlockSignals();

// The next blocked signal: SIGTERM and SIGINT are kStop, SIGHUP is kReload; kNone after `timeout`.
Signal WaitForSignal(absl::Duration timeout);

}  // namespace dsocr::ops

#endif  // DSOCR_DAEMON_OPS_SIGNALS_H_
