#include "model/allocation_counter.h"

#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <mutex>
#include <unordered_map>

namespace dsocr::model {
namespace {

// Sizes stand in a table beside the memory and not in a context with it: oneDNN asks for memory through the raw
// interface, which has room for the address alone.
class CountingAllocator final : public c10::Allocator, public AllocationCounter {
 public:
  static CountingAllocator& Get() {
    static auto& allocator = *new CountingAllocator;  // outlives every tensor, static ones too
    return allocator;
  }

  c10::DataPtr allocate(size_t size_bytes) override {
    c10::DataPtr memory = allocator_->allocate(size_bytes);
    void* const data = memory.release_context();
    if (data != nullptr) {
      const std::lock_guard lock(mutex_);
      sizes_[data] = static_cast<int64_t>(size_bytes);
      live_bytes_ += static_cast<int64_t>(size_bytes);
      peak_bytes_ = std::max(peak_bytes_, live_bytes_);
    }
    return {data, data, &Free, at::kCPU};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &Free; }

  void copy_data(void* to, const void* from, size_t size_bytes) const override {
    default_copy_data(to, from, size_bytes);
  }

  int64_t live_bytes() const override {
    const std::lock_guard lock(mutex_);
    return live_bytes_;
  }
  int64_t peak_bytes() const override {
    const std::lock_guard lock(mutex_);
    return peak_bytes_;
  }
  void Mark() override {
    const std::lock_guard lock(mutex_);
    peak_bytes_ = live_bytes_;
  }

 private:
  CountingAllocator() : allocator_(c10::GetCPUAllocator()) { c10::SetCPUAllocator(this); }

  // Memory that is not in the table is older than the counter.
  static void Free(void* data) {
    CountingAllocator& counter = Get();
    {
      const std::lock_guard lock(counter.mutex_);
      if (const auto found = counter.sizes_.find(data); found != counter.sizes_.end()) {
        counter.live_bytes_ -= found->second;
        counter.sizes_.erase(found);
      }
    }
    counter.allocator_->raw_deallocate(data);
  }

  c10::Allocator* const allocator_;
  mutable std::mutex mutex_;
  std::unordered_map<void*, int64_t> sizes_;
  int64_t live_bytes_ = 0;
  int64_t peak_bytes_ = 0;
};

}  // namespace

AllocationCounter& AllocationCounter::Install() { return CountingAllocator::Get(); }

}  // namespace dsocr::model
