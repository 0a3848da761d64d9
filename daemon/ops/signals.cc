#include "daemon/ops/signals.h"

#include <csignal>
#include <ctime>

namespace dsocr::ops {
namespace {

sigset_t HandledSignals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) {
    ::sigaddset(&set, number);
  }
  return set;
}

}  // namespace

void BlockSignals() {
  const sigset_t set = HandledSignals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

Signal WaitForSignal(absl::Duration timeout) {
  const sigset_t set = HandledSignals();
  const timespec limit = absl::ToTimespec(timeout);
  switch (::sigtimedwait(&set, nullptr, &limit)) {
    case SIGTERM:
    case SIGINT:
      return Signal::kStop;
    case SIGHUP:
      return Signal::kReload;
    default:
      return Signal::kNone;
  }
}

}  // namespace dsocr::ops
