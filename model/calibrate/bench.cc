#include "model/calibrate/bench.h"

#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>

namespace dsocr::model {
namespace {

// As many as the largest weight, lm_head: 331 MB in bf16, ten times the last-level cache of a server CPU and seven
// times an H200's.
constexpr int64_t kArenaElements = 129'280 * 1'280;

// Copies of a small weight: enough that the last-level cache has forgotten one before its turn comes again.
constexpr int64_t kMaxCopies = 64;

}  // namespace

at::Tensor Bench::Activation(at::IntArrayRef shape) {
  at::Tensor& activation = activations_[c10::multiply_integers(shape)];
  if (!activation.defined()) {
    activation = Filled(shape, 1);
  }
  return activation.view(shape);
}

at::Tensor Bench::Filled(at::IntArrayRef shape, double value) const {
  return at::full(shape, value, at::TensorOptions().device(device_).dtype(dtype_));
}

at::Tensor Bench::Float(at::IntArrayRef shape, double value) const {
  return at::full(shape, value, at::TensorOptions().device(device_).dtype(at::kFloat));
}

at::Tensor Bench::Indices(int64_t count, int64_t below) const {
  return at::arange(count, at::TensorOptions().device(device_).dtype(at::kLong)).remainder_(below);
}

std::shared_ptr<ColdWeight> Bench::Weight(at::IntArrayRef shape) {
  if (!arena_.defined()) {
    arena_ = Filled({kArenaElements}, 0.01);
  }
  const int64_t elements = c10::multiply_integers(shape);
  const int64_t count = std::min(kMaxCopies, kArenaElements / elements);
  std::vector<at::Tensor> copies;
  for (int64_t i = 0; i < count; ++i) {
    copies.push_back(arena_.narrow(0, i * (kArenaElements / count), elements).view(shape));
  }
  return std::make_shared<ColdWeight>(std::move(copies));
}

void Synchronize(at::Device device) {
  if (!device.is_cpu()) {
    c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
  }
}

}  // namespace dsocr::model
