#include "model/products.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <vector>

namespace dsocr::model {
namespace {

// Widening the weights costs about 1.2 ns an element, a bf16 row 0.17 ns an element more than an fp32 one: even at 7
// rows.
constexpr int64_t kRowsToWiden = 16;

// At most this much of an attention's bias is widened at once: one head of 4096 queries and keys, the largest square of
// the usual workloads. Widening all of it would hold three times the bytes of the bias.
constexpr int64_t kWideBiasBytes = int64_t{64} << 20;

bool HasFastBf16() {
  static const bool has = __builtin_cpu_supports("avx512bf16") != 0;
  return has;
}

std::optional<at::Tensor> Widened(const std::optional<at::Tensor>& x) {
  return x ? std::optional<at::Tensor>(x->to(at::kFloat)) : std::nullopt;
}

// Three dispatched calls, nested ones included, where at::linear makes eight: a decode step has 294 of them.
at::Tensor PlainLinear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& transposed,
                       const std::optional<at::Tensor>& bias) {
  if (x.dim() != 2) {
    return at::linear(x, weight, bias);
  }
  return bias ? at::addmm(*bias, x, transposed) : at::mm(x, transposed);
}

// What PlainLinear calls, by its name and with its operands.
at::Tensor WideLinear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& transposed,
                      const std::optional<at::Tensor>& bias) {
  const bool is_matrix = x.dim() == 2;
  RECORD_FUNCTION(!is_matrix ? "aten::linear"
                  : bias     ? "aten::addmm"
                             : "aten::mm",
                  is_matrix && bias ? std::vector<c10::IValue>({*bias, x})
                                    : std::vector<c10::IValue>({x, is_matrix ? transposed : weight}));
  const at::Tensor wide = weight.to(at::kFloat);
  return PlainLinear(x.to(at::kFloat), wide, wide.t(), Widened(bias)).to(x.scalar_type());
}

at::Tensor WideAttention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                         const std::optional<at::Tensor>& bias, bool is_causal) {
  return at::scaled_dot_product_attention(q.to(at::kFloat), k.to(at::kFloat), v.to(at::kFloat), Widened(bias),
                                          /*dropout_p=*/0.0, is_causal);
}

// Some sequences, or some heads of one, after the other. The result is laid out as the operator lays out its own: the
// heads of a query side by side.
at::Tensor WideAttentionInPieces(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                 const at::Tensor& bias) {
  const int64_t batch = q.size(0), heads = q.size(1), queries = q.size(2);
  const int64_t head_bytes = queries * k.size(2) * static_cast<int64_t>(sizeof(float));
  const int64_t heads_at_once = std::clamp<int64_t>(kWideBiasBytes / head_bytes, 1, heads);
  const int64_t sequences_at_once = std::clamp<int64_t>(kWideBiasBytes / (head_bytes * heads), 1, batch);
  at::Tensor mixed = at::empty({batch, queries, heads, q.size(3)}, q.options()).transpose(1, 2);
  for (int64_t b = 0; b < batch; b += sequences_at_once) {
    for (int64_t h = 0; h < heads; h += heads_at_once) {
      const auto piece = [&](const at::Tensor& x) {
        return x.narrow(0, b, std::min(sequences_at_once, batch - b)).narrow(1, h, std::min(heads_at_once, heads - h));
      };
      piece(mixed).copy_(WideAttention(piece(q), piece(k), piece(v), piece(bias), /*is_causal=*/false));
    }
  }
  return mixed;
}

}  // namespace

bool Widens(const at::Tensor& x, int64_t rows) {
  return x.scalar_type() == at::kBFloat16 && x.device().is_cpu() && rows >= kRowsToWiden && !HasFastBf16();
}

at::Tensor LinearProduct(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& transposed,
                         const std::optional<at::Tensor>& bias) {
  return Widens(x, x.numel() / x.size(-1)) ? WideLinear(x, weight, transposed, bias)
                                           : PlainLinear(x, weight, transposed, bias);
}

at::Tensor ConvProduct(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                       int64_t stride, int64_t padding) {
  if (!Widens(x, x.size(0) * x.size(2) * x.size(3))) {
    return at::conv2d(x, weight, bias, stride, padding);
  }
  RECORD_FUNCTION("aten::conv2d", std::vector<c10::IValue>({x, weight}));
  return at::conv2d(x.to(at::kFloat), weight.to(at::kFloat), Widened(bias), stride, padding).to(x.scalar_type());
}

at::Tensor BatchedProduct(const at::Tensor& a, const at::Tensor& b) {
  if (!Widens(a, a.size(-2))) {
    return at::bmm(a, b);
  }
  RECORD_FUNCTION("aten::bmm", std::vector<c10::IValue>({a, b}));
  return at::bmm(a.to(at::kFloat), b.to(at::kFloat)).to(a.scalar_type());
}

at::Tensor AttentionProduct(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const std::optional<at::Tensor>& bias, bool is_causal) {
  if (!Widens(q, q.size(-2))) {
    return at::scaled_dot_product_attention(q, k, v, bias, /*dropout_p=*/0.0, is_causal);
  }
  RECORD_FUNCTION("aten::scaled_dot_product_attention", std::vector<c10::IValue>({q, k}));
  return bias ? WideAttentionInPieces(q, k, v, *bias) : WideAttention(q, k, v, {}, is_causal).to(q.scalar_type());
}

}  // namespace dsocr::model
