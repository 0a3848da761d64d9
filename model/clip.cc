#include "model/clip.h"

#include <ATen/ATen.h>

#include "model/products.h"

namespace dsocr::model {
namespace {

constexpr double kLayerNormEps = 1e-5;
constexpr double kQuickGeluSlope = 1.702;  // x * sigmoid(1.702 x), CLIP's approximation of GELU
constexpr char kWeight[] = "model.vision_model.";

std::string LayerRange(int64_t index) { return "vision/clip/layer[" + std::to_string(index) + "]"; }
std::string LayerWeight(int64_t index) {
  return std::string(kWeight) + "transformer.layers." + std::to_string(index) + ".";
}

}  // namespace

ClipLayer::ClipLayer(const ClipConfig& config, int64_t index, WeightMap& weights)
    : heads_(config.heads),
      layer_norm1_(LayerWeight(index) + "layer_norm1", kLayerNormEps, weights),
      qkv_proj_(Linear::WithBias(LayerWeight(index) + "self_attn.qkv_proj", weights)),
      out_proj_(Linear::WithBias(LayerWeight(index) + "self_attn.out_proj", weights)),
      layer_norm2_(LayerWeight(index) + "layer_norm2", kLayerNormEps, weights),
      fc1_(Linear::WithBias(LayerWeight(index) + "mlp.fc1", weights)),
      fc2_(Linear::WithBias(LayerWeight(index) + "mlp.fc2", weights)),
      self_range_(LayerRange(index)),
      layer_norm1_range_(LayerRange(index) + "/layer_norm1"),
      self_attn_range_(LayerRange(index) + "/self_attn"),
      qkv_proj_range_(LayerRange(index) + "/self_attn/qkv_proj"),
      split_heads_range_(LayerRange(index) + "/self_attn/split_heads"),
      core_range_(LayerRange(index) + "/self_attn/core"),
      merge_heads_range_(LayerRange(index) + "/self_attn/merge_heads"),
      out_proj_range_(LayerRange(index) + "/self_attn/out_proj"),
      attn_residual_range_(LayerRange(index) + "/attn_residual"),
      layer_norm2_range_(LayerRange(index) + "/layer_norm2"),
      mlp_range_(LayerRange(index) + "/mlp"),
      fc1_range_(LayerRange(index) + "/mlp/fc1"),
      act_range_(LayerRange(index) + "/mlp/act"),
      fc2_range_(LayerRange(index) + "/mlp/fc2"),
      mlp_residual_range_(LayerRange(index) + "/mlp_residual") {}

std::vector<at::Tensor> ClipLayer::Project(at::Tensor x) const {
  const int64_t batch = x.size(0), length = x.size(1), channels = x.size(2);
  x = In(qkv_proj_range_, [&] { return qkv_proj_(x); });
  return In(split_heads_range_, [&] {
    return x.view({batch, length, 3, heads_, channels / heads_}).permute({2, 0, 3, 1, 4}).contiguous().unbind(0);
  });
}

at::Tensor ClipLayer::Attention(at::Tensor x) const {
  const Range range(self_attn_range_);
  const int64_t batch = x.size(0), length = x.size(1), channels = x.size(2);
  {
    const std::vector<at::Tensor> parts = Project(std::move(x));
    x = In(core_range_, [&] { return AttentionProduct(parts[0], parts[1], parts[2]); });
  }
  x = In(merge_heads_range_, [&] { return x.transpose(1, 2).reshape({batch, length, channels}); });
  return In(out_proj_range_, [&] { return out_proj_(x); });
}

at::Tensor ClipLayer::Mlp(at::Tensor x) const {
  const Range range(mlp_range_);
  x = In(fc1_range_, [&] { return fc1_(x); });
  In(act_range_, [&] { x.mul_(at::mul(x, kQuickGeluSlope).sigmoid_()); });
  return In(fc2_range_, [&] { return fc2_(x); });
}

at::Tensor ClipLayer::Forward(at::Tensor x) const {
  const Range range(self_range_);
  {
    const at::Tensor attended = Attention(In(layer_norm1_range_, [&] { return layer_norm1_(x); }));
    In(attn_residual_range_, [&] { x.add_(attended); });
  }
  const at::Tensor transformed = Mlp(In(layer_norm2_range_, [&] { return layer_norm2_(x); }));
  In(mlp_residual_range_, [&] { x.add_(transformed); });
  return x;
}

ClipEncoder::ClipEncoder(const ClipConfig& config, WeightMap& weights)
    : native_grid_(config.native_grid()),
      class_embedding_(weights.Take(std::string(kWeight) + "embeddings.class_embedding")),
      patch_embedding_(weights.Take(std::string(kWeight) + "embeddings.patch_embedding.weight")),
      position_embedding_(weights.Take(std::string(kWeight) + "embeddings.position_embedding.weight")),
      pre_layrnorm_(std::string(kWeight) + "pre_layrnorm", kLayerNormEps, weights),
      self_range_("vision/clip"),
      embeddings_range_("vision/clip/embeddings"),
      concat_range_("vision/clip/embeddings/concat"),
      interpolate_range_("vision/clip/embeddings/interpolate"),
      add_range_("vision/clip/embeddings/add"),
      pre_layrnorm_range_("vision/clip/pre_layrnorm") {
  for (int64_t i = 0; i < config.layers; ++i) layers_.emplace_back(config, i, weights);
}

at::Tensor ClipEncoder::Embed(const at::Tensor& features) const {
  const Range range(embeddings_range_);
  const int64_t batch = features.size(0), channels = features.size(1), side = features.size(2);
  at::Tensor tokens = In(concat_range_, [&] {
    const at::Tensor patches = features.flatten(2).transpose(1, 2);  // [B, q*q, C], row-major
    return at::cat({class_embedding_.expand({batch, 1, channels}), patches}, 1);
  });
  at::Tensor positions = position_embedding_;
  if (side != native_grid_) {
    positions = In(interpolate_range_, [&] {
      const at::Tensor planes = position_embedding_.narrow(0, 1, native_grid_ * native_grid_)
                                    .view({1, native_grid_, native_grid_, channels})
                                    .permute({0, 3, 1, 2})
                                    .to(at::kFloat);
      const at::Tensor resized = at::_upsample_bicubic2d_aa(planes, {side, side}, /*align_corners=*/false)
                                     .permute({0, 2, 3, 1})
                                     .reshape({side * side, channels})
                                     .to(position_embedding_.scalar_type());
      return at::cat({position_embedding_.narrow(0, 0, 1), resized}, 0);
    });
  }
  In(add_range_, [&] { tokens.add_(positions); });
  return tokens;
}

at::Tensor ClipEncoder::Forward(const at::Tensor& features, const Probe& probe) const {
  const Range range(self_range_);
  at::Tensor x = Embed(features);
  probe("embeddings", x);
  x = In(pre_layrnorm_range_, [&] { return pre_layrnorm_(x); });
  probe("pre_layrnorm", x);
  for (size_t i = 0; i < layers_.size(); ++i) {
    x = layers_[i].Forward(std::move(x));
    probe.Sub("layer", i)("", x);
  }
  return x;
}

}  // namespace dsocr::model
