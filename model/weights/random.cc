#include "model/weights/random.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <thread>

#include "model/error.h"

namespace dsocr::model {
namespace {

constexpr size_t kTensorAlignmentBytes = 64;              // a cache line, and the alignment of ATen's own allocator
constexpr size_t kArenaAlignmentBytes = size_t{2} << 20;  // one huge page

constexpr double kResidualScale = 0.1;
constexpr double kProjectorScale = 0.015;
constexpr double kHalfScale = 0.5;

size_t RoundUp(size_t value, size_t to) { return (value + to - 1) / to * to; }

// Zero-filled anonymous memory on huge pages.
class Arena {
 public:
  explicit Arena(size_t size_bytes) : mapped_bytes_(size_bytes + kArenaAlignmentBytes) {
    mapping_ = ::mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping_ == MAP_FAILED) {
      throw InputError(ErrorCode::kResourceExhausted, "random weights",
                       std::to_string(size_bytes) + " bytes cannot be allocated", "use a machine with more memory");
    }
    ::madvise(mapping_, mapped_bytes_, MADV_HUGEPAGE);  // advice: refused, the pages are 4 KiB and filling is slower
    start_ = reinterpret_cast<uint8_t*>(RoundUp(reinterpret_cast<uintptr_t>(mapping_), kArenaAlignmentBytes));
  }
  ~Arena() { ::munmap(mapping_, mapped_bytes_); }

  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  uint8_t* start() const { return start_; }

 private:
  size_t mapped_bytes_;
  void* mapping_ = nullptr;
  uint8_t* start_ = nullptr;
};

double StandardDeviation(const WeightSpec& spec) {
  const double fan_in_std = 1.0 / std::sqrt(static_cast<double>(spec.fan_in()));
  switch (spec.init) {
    case Init::kZero:
    case Init::kOne:
      return 0.0;
    case Init::kFanIn:
      return fan_in_std;
    case Init::kResidual:
      return kResidualScale * fan_in_std;
    case Init::kProjector:
      return kProjectorScale * fan_in_std;
    case Init::kUnit:
      return 1.0;
    case Init::kHalf:
      return kHalfScale;
  }
  return 0.0;
}

// What one tensor is filled with: `block` repeated, starting `offset` elements in.
struct Fill {
  uint8_t* to = nullptr;
  const uint8_t* block = nullptr;
  int64_t block_length = 0;
  int64_t offset = 0;
  int64_t count = 0;
};

void Run(const Fill& fill, size_t element_bytes) {
  int64_t done = 0;
  int64_t offset = fill.offset;
  while (done < fill.count) {
    const int64_t run = std::min(fill.block_length - offset, fill.count - done);
    std::memcpy(fill.to + done * element_bytes, fill.block + offset * element_bytes, run * element_bytes);
    done += run;
    offset = 0;
  }
}

// Halves (or N-ths) by bytes, in address order, so that each thread faults in its own huge pages.
void RunAll(const std::vector<Fill>& fills, size_t element_bytes, int64_t total) {
  const unsigned thread_count = std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::jthread> threads;
  size_t next = 0;
  int64_t assigned = 0;
  for (unsigned t = 0; t < thread_count; ++t) {
    const size_t first = next;
    const int64_t goal = total * (t + 1) / thread_count;
    while (next < fills.size() && assigned < goal) assigned += fills[next++].count;
    threads.emplace_back([&fills, element_bytes, first, last = next] {
      for (size_t i = first; i < last; ++i) Run(fills[i], element_bytes);
    });
  }
}

}  // namespace

WeightMap MakeRandomWeights(const std::vector<WeightSpec>& specs, uint64_t seed, at::ScalarType dtype,
                            at::Device device) {
  const size_t element_bytes = c10::elementSize(dtype);
  size_t arena_bytes = 0;
  for (const WeightSpec& spec : specs) arena_bytes += RoundUp(spec.numel() * element_bytes, kTensorAlignmentBytes);
  const auto arena = std::make_shared<const Arena>(arena_bytes);

  const at::Tensor normal = at::randn({kBlockLength}, at::make_generator<at::CPUGeneratorImpl>(seed), at::kFloat);
  std::map<double, at::Tensor> scaled;  // by standard deviation: some twenty distinct ones, 1 MiB each in bf16
  const at::Tensor ones = at::ones({kBlockLength}, dtype);

  WeightMap weights;
  std::vector<Fill> fills;
  uint8_t* to = arena->start();
  int64_t offset = 0;
  int64_t total = 0;
  for (const WeightSpec& spec : specs) {
    const int64_t count = spec.numel();
    if (spec.init == Init::kOne) {
      fills.push_back({to, static_cast<const uint8_t*>(ones.const_data_ptr()), kBlockLength, 0, count});
    } else if (spec.init != Init::kZero) {
      const double std = StandardDeviation(spec);
      at::Tensor& block = scaled[std];
      if (!block.defined()) block = (normal * std).to(dtype);
      fills.push_back({to, static_cast<const uint8_t*>(block.const_data_ptr()), kBlockLength, offset, count});
      offset = (offset + count) % kBlockLength;
    }
    if (spec.init != Init::kZero) total += count;
    weights.Put(spec.name, at::from_blob(
                               to, spec.shape, [arena](void*) {}, at::TensorOptions(dtype)));
    to += RoundUp(count * element_bytes, kTensorAlignmentBytes);
  }
  RunAll(fills, element_bytes, total);
  if (device.is_cpu()) return weights;

  WeightMap moved;
  for (const auto& [name, tensor] : weights.tensors()) moved.Put(name, tensor.to(device));
  return moved;
}

}  // namespace dsocr::model
