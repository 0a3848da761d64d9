#include "model/trace/meta_kernels.h"

#include <ATen/ATen.h>
#include <ATen/ExpandUtils.h>
#include <torch/library.h>

#include <algorithm>
#include <optional>
#include <tuple>
#include <vector>

namespace dsocr::model {
namespace {

at::Tensor Convolution(const at::Tensor& input, const at::Tensor& weight, const std::optional<at::Tensor>&,
                       at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation, bool transposed,
                       at::IntArrayRef, int64_t) {
  TORCH_CHECK(!transposed, "transposed convolution: not an operator of this model");
  const auto of = [](at::IntArrayRef values, int64_t axis) { return values.size() == 1 ? values[0] : values[axis]; };
  std::vector<int64_t> shape = {input.size(0), weight.size(0)};
  for (int64_t axis = 0; axis < weight.dim() - 2; ++axis) {
    const int64_t window = of(dilation, axis) * (weight.size(axis + 2) - 1) + 1;
    shape.push_back((input.size(axis + 2) + 2 * of(padding, axis) - window) / of(stride, axis) + 1);
  }
  return at::empty(shape, input.options(), input.suggest_memory_format());
}

// The statistics have one element a normalised row.
std::tuple<at::Tensor, at::Tensor, at::Tensor> LayerNorm(const at::Tensor& input, at::IntArrayRef normalized_shape,
                                                         const std::optional<at::Tensor>&,
                                                         const std::optional<at::Tensor>&, double) {
  std::vector<int64_t> rows = input.sizes().vec();
  std::fill(rows.end() - static_cast<std::ptrdiff_t>(normalized_shape.size()), rows.end(), 1);
  return {at::empty_like(input, at::MemoryFormat::Contiguous), at::empty(rows, input.options()),
          at::empty(rows, input.options())};
}

at::Tensor IndexSelect(const at::Tensor& self, int64_t dim, const at::Tensor& index) {
  std::vector<int64_t> shape = self.sizes().vec();
  shape.at(static_cast<size_t>(dim < 0 ? dim + self.dim() : dim)) = index.numel();
  return at::empty(shape, self.options());
}

std::vector<int64_t> ShapeOfWhere(const at::Tensor& condition, const at::Tensor& self, const at::Tensor& other) {
  return at::infer_size(at::infer_size(condition.sizes(), self.sizes()), other.sizes());
}

at::Tensor Where(const at::Tensor& condition, const at::Tensor& self, const at::Tensor& other) {
  return at::empty(ShapeOfWhere(condition, self, other), condition.options().dtype(at::result_type(self, other)));
}

at::Tensor& WhereOut(const at::Tensor& condition, const at::Tensor& self, const at::Tensor& other, at::Tensor& out) {
  out.resize_(ShapeOfWhere(condition, self, other));
  return out;
}

at::Tensor Flip(const at::Tensor& self, at::IntArrayRef) { return at::empty_like(self); }

}  // namespace

void RegisterMetaKernels() {
  static const torch::Library* const library = [] {
    auto* meta = new torch::Library(torch::Library::IMPL, "aten", c10::DispatchKey::Meta, __FILE__, __LINE__);
    meta->impl("convolution", Convolution);
    meta->impl("native_layer_norm", LayerNorm);
    meta->impl("index_select", IndexSelect);
    meta->impl("where.self", Where);
    meta->impl("where.self_out", WhereOut);
    meta->impl("flip", Flip);
    return meta;
  }();
  static_cast<void>(library);
}

}  // namespace dsocr::model
