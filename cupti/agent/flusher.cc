#include "cupti/agent/flusher.h"

#include <chrono>

#include "cupti/agent/clock.h"
#include "cupti/agent/thread.h"

namespace dsocr::agent {

bool Flusher::Start(void (*work)(Task)) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  work_ = work;
  is_stopping_ = false;
  is_running_ = is_running_ || StartThread("dsocr-flush", Run, this);
  return is_running_;
}

void Flusher::Stop() noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  is_stopping_ = true;
  changed_.notify_all();
}

void* Flusher::Run(void* self) {
  auto& flusher = *static_cast<Flusher*>(self);
  std::unique_lock<std::mutex> lock(flusher.mutex_);
  for (;;) {
    flusher.changed_.wait(lock,
                          [&flusher] { return (flusher.is_busy_ && !flusher.is_taken_) || flusher.is_stopping_; });
    if (flusher.is_stopping_) {
      flusher.is_running_ = flusher.is_busy_ = false;
      return nullptr;
    }
    flusher.is_taken_ = true;
    const Task task = flusher.task_;
    lock.unlock();
    flusher.work_(task);
    lock.lock();
    flusher.is_busy_ = false;
    flusher.changed_.notify_all();
  }
}

bool Flusher::Ask(Task task) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (is_busy_) {
    return false;
  }
  task_ = task;
  is_busy_ = true;
  is_taken_ = false;
  since_ns_ = NowNs();
  changed_.notify_all();
  return true;
}

bool Flusher::Await(int timeout_ms) noexcept {
  std::unique_lock<std::mutex> lock(mutex_);
  return changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [this] { return !is_busy_; });
}

int64_t Flusher::busy_ms() noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  return is_busy_ ? (NowNs() - since_ns_) / 1'000'000 : 0;
}

}  // namespace dsocr::agent
