// The LibTorch that dsocr-runner has. The daemon has none itself, and operators of another one cost other times.
#ifndef DSOCR_DAEMON_RUN_TORCH_VERSION_H_
#define DSOCR_DAEMON_RUN_TORCH_VERSION_H_

#include <filesystem>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace dsocr::run {

// Thread-safe. The runner is asked once, and again when its file is another one: half a second.
class TorchVersion {
 public:
  // "2.11.0". Empty where the runner does not say; the next call asks again.
  std::string Of(const std::string& runner_path);

 private:
  absl::Mutex mutex_;
  std::string runner_path_ ABSL_GUARDED_BY(mutex_);
  std::filesystem::file_time_type written_ ABSL_GUARDED_BY(mutex_);
  std::string version_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace dsocr::run

#endif  // DSOCR_DAEMON_RUN_TORCH_VERSION_H_
