// The two parameterised operators that every part of the model uses. They push no range: the caller names what it runs.
#ifndef DSOCR_MODEL_LAYERS_H_
#define DSOCR_MODEL_LAYERS_H_

#include <ATen/ATen.h>

#include <optional>
#include <string>
#include <utility>

#include "model/products.h"
#include "model/weights/weight_map.h"

namespace dsocr::model {

// y = x W^T (+ b), weight [out, in].
class Linear {
 public:
  explicit Linear(const at::Tensor& weight, std::optional<at::Tensor> bias = std::nullopt)
      : weight_(weight), transposed_(weight.t()), bias_(std::move(bias)) {}

  static Linear WithBias(const std::string& name, WeightMap& weights) {
    return Linear(weights.Take(name + ".weight"), weights.Take(name + ".bias"));
  }
  static Linear WithoutBias(const std::string& name, WeightMap& weights) {
    return Linear(weights.Take(name + ".weight"));
  }

  at::Tensor operator()(const at::Tensor& x) const { return LinearProduct(x, weight_, transposed_, bias_); }

  const at::Tensor& weight() const { return weight_; }

 private:
  at::Tensor weight_;
  at::Tensor transposed_;  // [in, out], a view
  std::optional<at::Tensor> bias_;
};

// Over the last dimension, with gain and bias.
struct LayerNorm {
  at::Tensor weight;
  at::Tensor bias;
  double eps;

  LayerNorm(const std::string& name, double eps, WeightMap& weights)
      : weight(weights.Take(name + ".weight")), bias(weights.Take(name + ".bias")), eps(eps) {}

  at::Tensor operator()(const at::Tensor& x) const { return at::layer_norm(x, weight.sizes(), weight, bias, eps); }
};

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_LAYERS_H_
