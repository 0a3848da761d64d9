#include "model/products.h"

#include <ATen/ATen.h>

namespace dsocr::model {
namespace {

// Widening the weights costs about 1.2 ns an element, a bf16 row 0.17 ns an element more than an fp32 one: even at 7
// rows.
constexpr int64_t kRowsToWiden = 16;

bool HasFastBf16() {
  static const bool has = __builtin_cpu_supports("avx512bf16") != 0;
  return has;
}

std::optional<at::Tensor> Widened(const std::optional<at::Tensor>& x) {
  return x ? std::optional<at::Tensor>(x->to(at::kFloat)) : std::nullopt;
}

// Three dispatched calls where at::linear makes eight: a decode step has 294 of them.
at::Tensor PlainLinear(const at::Tensor& x, const at::Tensor& transposed, const std::optional<at::Tensor>& bias) {
  if (x.dim() != 2) {
    return at::linear(x, transposed.t(), bias);
  }
  return bias ? at::addmm(*bias, x, transposed) : at::mm(x, transposed);
}

}  // namespace

bool Widens(const at::Tensor& x, int64_t rows) {
  return x.scalar_type() == at::kBFloat16 && x.device().is_cpu() && rows >= kRowsToWiden && !HasFastBf16();
}

at::Tensor LinearProduct(const at::Tensor& x, const at::Tensor& transposed, const std::optional<at::Tensor>& bias) {
  if (!Widens(x, x.numel() / x.size(-1))) {
    return PlainLinear(x, transposed, bias);
  }
  return PlainLinear(x.to(at::kFloat), transposed.to(at::kFloat), Widened(bias)).to(x.scalar_type());
}

at::Tensor ConvProduct(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                       int64_t stride, int64_t padding) {
  if (!Widens(x, x.size(0) * x.size(2) * x.size(3))) {
    return at::conv2d(x, weight, bias, stride, padding);
  }
  return at::conv2d(x.to(at::kFloat), weight.to(at::kFloat), Widened(bias), stride, padding).to(x.scalar_type());
}

at::Tensor BatchedProduct(const at::Tensor& a, const at::Tensor& b) {
  if (!Widens(a, a.size(-2))) {
    return at::bmm(a, b);
  }
  return at::bmm(a.to(at::kFloat), b.to(at::kFloat)).to(a.scalar_type());
}

at::Tensor AttentionProduct(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const std::optional<at::Tensor>& bias, bool is_causal) {
  if (!Widens(q, q.size(-2))) {
    return at::scaled_dot_product_attention(q, k, v, bias, /*dropout_p=*/0.0, is_causal);
  }
  return at::scaled_dot_product_attention(q.to(at::kFloat), k.to(at::kFloat), v.to(at::kFloat), Widened(bias),
                                          /*dropout_p=*/0.0, is_causal)
      .to(q.scalar_type());
}

at::ScalarType AttentionBiasType(const at::Tensor& q) { return Widens(q, q.size(-2)) ? at::kFloat : q.scalar_type(); }

}  // namespace dsocr::model
