// Ctrl-C while a command waits for the daemon.
#ifndef DSOCR_CLIENT_INTERRUPT_H_
#define DSOCR_CLIENT_INTERRUPT_H_

#include <signal.h>

#include <atomic>
#include <functional>
#include <thread>

namespace dsocr::client {

// While it lives, SIGINT and SIGTERM do not end the process but call `on_signal` on a thread of its own, with 1 for the
// first, 2 for the second, … Must be made before the process has other threads (gRPC's), which inherit its signal mask.
class InterruptWatch {
 public:
  explicit InterruptWatch(std::function<void(int count)> on_signal);
  ~InterruptWatch();
  InterruptWatch(const InterruptWatch&) = delete;
  InterruptWatch& operator=(const InterruptWatch&) = delete;

  bool was_interrupted() const { return count_ > 0; }

 private:
  sigset_t signals_;
  sigset_t old_mask_;
  std::atomic<int> count_ = 0;
  std::atomic<bool> is_over_ = false;
  std::thread thread_;
};

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_INTERRUPT_H_
