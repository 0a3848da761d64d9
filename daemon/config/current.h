// The configuration in force. SIGHUP replaces it; who holds a snapshot keeps what it saw.
#ifndef DSOCR_DAEMON_CONFIG_CURRENT_H_
#define DSOCR_DAEMON_CONFIG_CURRENT_H_

#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "daemon/config/settings.h"

namespace dsocr::config {

// Thread-safe.
class Current {
 public:
  explicit Current(Config config) : config_(std::make_shared<const Config>(std::move(config))) {}

  std::shared_ptr<const Config> Get() const {
    absl::MutexLock lock(&mutex_);
    return config_;
  }

  void Replace(Config config) {
    auto next = std::make_shared<const Config>(std::move(config));
    absl::MutexLock lock(&mutex_);
    config_ = std::move(next);
  }

 private:
  mutable absl::Mutex mutex_;
  std::shared_ptr<const Config> config_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace dsocr::config

#endif  // DSOCR_DAEMON_CONFIG_CURRENT_H_
