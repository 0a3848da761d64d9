#include "client/interrupt.h"

#include <pthread.h>

#include <utility>

namespace dsocr::client {

InterruptWatch::InterruptWatch(std::function<void(int count)> on_signal) {
  ::sigemptyset(&signals_);
  ::sigaddset(&signals_, SIGINT);
  ::sigaddset(&signals_, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &signals_, &old_mask_);
  thread_ = std::thread([this, on_signal = std::move(on_signal)] {
    while (true) {
      int signal = 0;
      if (::sigwait(&signals_, &signal) != 0) {
        continue;
      }
      if (is_over_) {
        return;
      }
      on_signal(++count_);
    }
  });
}

InterruptWatch::~InterruptWatch() {
  is_over_ = true;
  ::pthread_kill(thread_.native_handle(), SIGTERM);  // ends its sigwait
  thread_.join();
  ::pthread_sigmask(SIG_SETMASK, &old_mask_, nullptr);
}

}  // namespace dsocr::client
