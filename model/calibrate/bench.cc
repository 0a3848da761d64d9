#include "model/calibrate/bench.h"

#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>

namespace dsocr::model {
namespace {

// As many as the largest weight, lm_head: 331 MB in bf16, ten times the last-level cache of a server CPU and seven
// times an H200's.
constexpr int64_t kArenaElements = 129'280 * 1'280;

// Of a small weight: a view of each is made, and its turn comes again when the last-level cache has forgotten it.
constexpr int64_t kMostPieces = 64;

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

ColdWeight::ColdWeight(std::shared_ptr<Arena> arena, at::IntArrayRef shape) : arena_(std::move(arena)) {
  const at::Tensor& memory = arena_->memory();
  const int64_t elements = c10::multiply_integers(shape);
  stride_ = std::max(elements, memory.numel() / kMostPieces);
  for (int64_t first = 0; first + stride_ <= memory.numel(); first += stride_) {
    pieces_.push_back(memory.narrow(0, first, elements).view(shape));
  }
}

std::shared_ptr<ColdWeight> Bench::Weight(at::IntArrayRef shape) {
  if (!arena_) {
    arena_ = std::make_shared<Arena>(Filled({kArenaElements}, 0.01));
  }
  return std::make_shared<ColdWeight>(arena_, shape);
}

void Synchronize(at::Device device) {
  if (!device.is_cpu()) {
    c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
  }
}

}  // namespace dsocr::model
