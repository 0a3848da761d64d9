// Calls into CUPTI that may take long, or never return, on a thread of their own: flushing, and switching the kinds off
// and on again around a flush.
#ifndef DSOCR_CUPTI_AGENT_FLUSHER_H_
#define DSOCR_CUPTI_AGENT_FLUSHER_H_

#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace dsocr::agent {

class Flusher {
 public:
  enum class Task : uint8_t {
    kFlush,        // buffers without an operation in progress
    kFlushForced,  // all
    kRestart,      // kinds off, forced flush, kinds on
  };

  // Starts the thread; `work` runs there, one task at a time. False: no thread could be had.
  bool Start(void (*work)(Task)) noexcept;

  // The thread ends after the task that it is at. Start may come again, also before that.
  void Stop() noexcept;

  // False: it is still at the task before.
  bool Ask(Task task) noexcept;

  // False: not done with what was asked within `timeout_ms`.
  bool Await(int timeout_ms) noexcept;

  // How long it has been at its task; 0: it has none.
  int64_t busy_ms() noexcept;

 private:
  static void* Run(void* self);

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  void (*work_)(Task) = nullptr;
  bool is_running_ = false;
  bool is_stopping_ = false;
  bool is_busy_ = false;  // from Ask to the end of the task
  bool is_taken_ = true;  // the task at hand is being worked at
  Task task_ = Task::kFlush;
  int64_t since_ns_ = 0;
};

}  // namespace dsocr::agent

#endif  // DSOCR_CUPTI_AGENT_FLUSHER_H_
