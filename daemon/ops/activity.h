// When the daemon last had something to do, for idle exit.
#ifndef DSOCR_DAEMON_OPS_ACTIVITY_H_
#define DSOCR_DAEMON_OPS_ACTIVITY_H_

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace dsocr::ops {

// Thread-safe.
class Activity {
 public:
  // Something is going on as long as it lives: a call, a run, a launch.
  class Scope {
   public:
    explicit Scope(Activity* activity) : activity_(activity) { activity_->Add(1); }
    ~Scope() { activity_->Add(-1); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Activity* const activity_;
  };

  // How long nothing has been going on; zero while something is.
  absl::Duration IdleFor(absl::Time now) const {
    absl::MutexLock lock(&mutex_);
    return active_ > 0 ? absl::ZeroDuration() : now - last_;
  }

 private:
  void Add(int change) {
    absl::MutexLock lock(&mutex_);
    active_ += change;
    last_ = absl::Now();
  }

  mutable absl::Mutex mutex_;
  int active_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time last_ ABSL_GUARDED_BY(mutex_) = absl::Now();
};

}  // namespace dsocr::ops

#endif  // DSOCR_DAEMON_OPS_ACTIVITY_H_
