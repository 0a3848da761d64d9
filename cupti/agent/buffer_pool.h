// The buffers that CUPTI fills: lent out, taken back full, queued for the decoder. CUPTI owns a buffer from request to
// completion, even past the end of a recording, so none is ever freed.
#ifndef DSOCR_CUPTI_AGENT_BUFFER_POOL_H_
#define DSOCR_CUPTI_AGENT_BUFFER_POOL_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace dsocr::agent {

class BufferPool {
 public:
  // 256 KiB hold about 1,200 kernel records; a decoder that is 24 MiB behind will not catch up.
  static constexpr size_t kBufferBytes = 256 << 10;
  static constexpr int kMaxBuffers = 96;

  // Null: all are in use.
  uint8_t* Lend() noexcept;

  // A buffer that CUPTI has filled.
  void Queue(uint8_t* buffer, size_t valid_bytes) noexcept;

  struct Full {
    uint8_t* buffer;  // null: none came in time
    size_t valid_bytes;
  };
  // The oldest one queued. The caller gives it back when it has read it.
  Full Next(int timeout_ms) noexcept;
  void Return(uint8_t* buffer) noexcept;

  // True once every buffer queued has been returned; false after `timeout_ms`.
  bool AwaitEmpty(int timeout_ms) noexcept;

  size_t touched_bytes() noexcept;

  // Frees those that nobody has.
  void GiveBack() noexcept;

 private:
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  uint8_t* free_[kMaxBuffers]{};
  int free_count_ = 0;
  int made_ = 0;
  Full queue_[kMaxBuffers]{};
  int first_ = 0;
  int queued_ = 0;
  int being_read_ = 0;
};

}  // namespace dsocr::agent

#endif  // DSOCR_CUPTI_AGENT_BUFFER_POOL_H_
