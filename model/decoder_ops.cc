#include "model/decoder_ops.h"

#include <ATen/ATen.h>

namespace dsocr::model {

RopeTable RopeTable::Rows(int64_t first, int64_t count) const {
  return {cos.slice(0, first, first + count), sin.slice(0, first, first + count)};
}

RopeTable RopeTable::RowAt(const at::Tensor& position) const {
  return {cos.index_select(0, position), sin.index_select(0, position)};
}

RmsNorm::RmsNorm(const at::Tensor& weight, double eps)
    : weight(weight), eps(at::full({1}, eps, weight.options().dtype(at::kFloat))) {}

at::Tensor RmsNorm::operator()(const at::Tensor& x) const {
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor norm = at::linalg_vector_norm(wide, 2, /*dim=*/-1, /*keepdim=*/true);
  // eps + norm^2 / width: the mean square without a tensor of squares.
  const at::Tensor inverse_rms = at::addcmul(eps, norm, norm, 1.0 / static_cast<double>(x.size(-1))).rsqrt_();
  return at::mul(wide, inverse_rms).to(x.scalar_type()).mul_(weight);
}

at::Tensor Rotate(const at::Tensor& x, const RopeTable& rows) {
  const at::Tensor swapped = x.view({1, x.size(1), x.size(2), 2, x.size(3) / 2}).flip(3).view(x.sizes());
  return at::mul(x, rows.cos).addcmul_(swapped, rows.sin);
}

}  // namespace dsocr::model
