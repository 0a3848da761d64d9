// Matrix products, convolutions and attention, in the precision in which this processor is fast at them.
//
// LibTorch multiplies bf16 matrices with the processor's bf16 dot products (AVX512-BF16, AMX). A processor without them
// falls back to a scalar-like loop: 10 GFLOP/s a core against 77 in fp32 (torch 2.11, 2026-11-21). There, a
// product over many rows widens its operands to fp32 and rounds the result back once, which is at least as exact. One
// row (decode) stays as it is: it is bound by reading the weights, and bf16 halves them. On CUDA and in fp32 these are
// plain calls.
//
// They push no range; the caller names what it runs. A product that widens is one operator to whoever listens to ATen's
// operators, by the name of the plain one and with its operands: its casts are calls inside it, and nothing wide
// outlives it. So a request makes the same operators on every processor and in every precision.
#ifndef DSOCR_MODEL_PRODUCTS_H_
#define DSOCR_MODEL_PRODUCTS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

namespace dsocr::model {

// Whether a product over `rows` rows of operands like `x` widens them.
bool Widens(const at::Tensor& x, int64_t rows);

// x W^T (+ b): x [.., k], weight [n, k], bias [n] -> [.., n]. `transposed` is the view weight.t(): made once, not in
// every call.
at::Tensor LinearProduct(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& transposed,
                         const std::optional<at::Tensor>& bias = {});

// x [B, in, H, W], weight [out, in, kernel, kernel].
at::Tensor ConvProduct(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias = {},
                       int64_t stride = 1, int64_t padding = 0);

// a [b, m, k], b [b, k, n] -> [b, m, n].
at::Tensor BatchedProduct(const at::Tensor& a, const at::Tensor& b);

// Scaled dot product: q [b, heads, queries, d], k and v [b, heads, keys, d], bias [b, heads, queries, keys].
at::Tensor AttentionProduct(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const std::optional<at::Tensor>& bias = {}, bool is_causal = false);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_PRODUCTS_H_
