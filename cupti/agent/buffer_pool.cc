#include "cupti/agent/buffer_pool.h"

#include <chrono>
#include <cstdlib>

namespace dsocr::agent {
namespace {

constexpr size_t kAlignment = 4096;  // CUPTI asks for 8

}  // namespace

uint8_t* BufferPool::Lend() noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (free_count_ > 0) {
    return free_[--free_count_];
  }
  void* fresh = nullptr;
  if (made_ == kMaxBuffers || posix_memalign(&fresh, kAlignment, kBufferBytes) != 0) {
    return nullptr;
  }
  ++made_;
  return static_cast<uint8_t*>(fresh);
}

void BufferPool::Queue(uint8_t* buffer, size_t valid_bytes) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (queued_ == kMaxBuffers) {
    return;  // more than were lent: somebody completes a buffer twice
  }
  queue_[(first_ + queued_++) % kMaxBuffers] = {buffer, valid_bytes < kBufferBytes ? valid_bytes : kBufferBytes};
  changed_.notify_all();
}

BufferPool::Full BufferPool::Next(int timeout_ms) noexcept {
  std::unique_lock<std::mutex> lock(mutex_);
  if (!changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [this] { return queued_ > 0; })) {
    return {};
  }
  const Full full = queue_[first_];
  first_ = (first_ + 1) % kMaxBuffers;
  --queued_;
  ++being_read_;
  return full;
}

void BufferPool::Return(uint8_t* buffer) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  --being_read_;
  if (free_count_ < kMaxBuffers) {
    free_[free_count_++] = buffer;
  }
  changed_.notify_all();
}

bool BufferPool::AwaitEmpty(int timeout_ms) noexcept {
  std::unique_lock<std::mutex> lock(mutex_);
  return changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                           [this] { return queued_ == 0 && being_read_ == 0; });
}

void BufferPool::GiveBack() noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  made_ -= free_count_;
  while (free_count_ > 0) {
    std::free(free_[--free_count_]);
  }
}

size_t BufferPool::touched_bytes() noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  return static_cast<size_t>(made_) * kBufferBytes;
}

}  // namespace dsocr::agent
