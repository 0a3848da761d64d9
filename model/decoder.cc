#include "model/decoder.h"

#include <ATen/ATen.h>

#include "model/products.h"

namespace dsocr::model {
namespace {

std::string LayerRange(int64_t index) { return "layer[" + std::to_string(index) + "]"; }
std::string LayerWeight(int64_t index) { return "model.layers." + std::to_string(index) + "."; }

}  // namespace

int64_t KvCache::size_bytes() const {
  int64_t bytes = 0;
  for (const at::Tensor& tensor : key) bytes += 2 * static_cast<int64_t>(tensor.nbytes());
  return bytes;
}

SelfAttention::SelfAttention(const DecoderConfig& config, const std::string& range, const std::string& weight,
                             WeightMap& weights)
    : heads_(config.num_attention_heads),
      q_proj_(Linear::WithoutBias(weight + "q_proj", weights)),
      k_proj_(Linear::WithoutBias(weight + "k_proj", weights)),
      v_proj_(Linear::WithoutBias(weight + "v_proj", weights)),
      o_proj_(Linear::WithoutBias(weight + "o_proj", weights)),
      self_range_(range),
      q_proj_range_(range + "/q_proj"),
      k_proj_range_(range + "/k_proj"),
      v_proj_range_(range + "/v_proj"),
      rope_range_(range + "/rope"),
      kv_cache_range_(range + "/kv_cache"),
      core_range_(range + "/core"),
      merge_heads_range_(range + "/merge_heads"),
      o_proj_range_(range + "/o_proj") {}

at::Tensor SelfAttention::Forward(const at::Tensor& x, int64_t layer, Phase phase, const Place& place,
                                  KvCache& cache) const {
  const Range range(self_range_[phase]);
  const int64_t tokens = x.size(0), hidden = x.size(1);
  const std::vector<int64_t> by_head = {1, tokens, heads_, hidden / heads_};
  at::Tensor q = In(q_proj_range_[phase], [&] { return q_proj_(x); });
  at::Tensor k = In(k_proj_range_[phase], [&] { return k_proj_(x); });
  const at::Tensor v = In(v_proj_range_[phase], [&] { return v_proj_(x); });
  In(rope_range_[phase], [&] {
    q = Rotate(q.view(by_head), place.rope());
    k = Rotate(k.view(by_head), place.rope());
  });
  In(kv_cache_range_[phase], [&] {
    place.Write(k.transpose(1, 2), cache.key[layer]);
    place.Write(v.view(by_head).transpose(1, 2), cache.value[layer]);
  });
  const at::Tensor mixed = In(core_range_[phase], [&] {
    const at::Tensor keys = place.Read(cache.key[layer]), values = place.Read(cache.value[layer]);
    return AttentionProduct(q.transpose(1, 2), keys, values, place.bias(), place.is_causal());
  });
  const at::Tensor merged = In(merge_heads_range_[phase], [&] {
    return mixed.transpose(1, 2).reshape({tokens, hidden});
  });
  return In(o_proj_range_[phase], [&] { return o_proj_(merged); });
}

DecoderLayer::DecoderLayer(const DecoderConfig& config, int64_t index, WeightMap& weights)
    : index_(index),
      input_layernorm_(weights.Take(LayerWeight(index) + "input_layernorm.weight"), config.rms_norm_eps),
      self_attn_(config, LayerRange(index) + "/self_attn", LayerWeight(index) + "self_attn.", weights),
      post_attention_layernorm_(weights.Take(LayerWeight(index) + "post_attention_layernorm.weight"),
                                config.rms_norm_eps),
      self_range_(LayerRange(index)),
      input_layernorm_range_(LayerRange(index) + "/input_layernorm"),
      attn_residual_range_(LayerRange(index) + "/attn_residual"),
      post_attention_layernorm_range_(LayerRange(index) + "/post_attention_layernorm"),
      mlp_residual_range_(LayerRange(index) + "/mlp_residual") {
  if (config.is_moe(index)) {
    moe_.emplace(config, LayerRange(index) + "/moe", LayerWeight(index) + "mlp.", weights);
  } else {
    mlp_.emplace(LayerRange(index) + "/mlp", LayerWeight(index) + "mlp.", weights);
  }
}

at::Tensor DecoderLayer::Forward(at::Tensor x, Phase phase, const Place& place, KvCache& cache,
                                 const Probe& probe) const {
  const Range range(self_range_[phase]);
  const Probe decoder = probe.Sub("decoder.layer", index_);
  at::Tensor y = In(input_layernorm_range_[phase], [&] { return input_layernorm_(x); });
  y = self_attn_.Forward(y, index_, phase, place, cache);
  decoder(".self_attn_out", y);
  In(attn_residual_range_[phase], [&] { x.add_(y); });

  y = In(post_attention_layernorm_range_[phase], [&] { return post_attention_layernorm_(x); });
  const ExpertChoice choice = place.is_known_to_host() ? ExpertChoice::kOnHost : ExpertChoice::kOnDevice;
  y = moe_ ? moe_->Forward(y, phase, choice, probe.Sub("moe.layer", index_).Sub(".")) : mlp_->Forward(y, phase);
  decoder(".mlp_out", y);
  In(mlp_residual_range_[phase], [&] { x.add_(y); });
  probe.Sub("decoder.hidden_after_layer", index_)("", x);
  return x;
}

void DecoderLayer::StackExperts() {
  if (moe_) moe_->StackExperts();
}

Decoder::Decoder(const DecoderConfig& config, WeightMap& weights)
    : config_(config),
      embed_tokens_(weights.Take("model.embed_tokens.weight")),
      norm_(weights.Take("model.norm.weight"), config.rms_norm_eps),
      lm_head_(Linear::WithoutBias("lm_head", weights)),
      embed_tokens_range_("embed_tokens"),
      norm_range_("norm"),
      lm_head_range_("lm_head") {
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) layers_.emplace_back(config, i, weights);
  rope_ = MakeRope(config.max_position_embeddings);
}

RopeTable Decoder::MakeRope(int64_t positions) const {
  const int64_t d = config_.head_dim();
  const at::TensorOptions fp32 = embed_tokens_.options().dtype(at::kFloat);
  const at::Tensor inverse_frequency =
      at::reciprocal(at::pow(config_.rope_theta, at::arange(0, d, 2, fp32).div_(static_cast<double>(d))));
  const at::Tensor angle = at::outer(at::arange(positions, fp32), inverse_frequency);
  const at::Tensor cos = angle.cos(), sin = angle.sin();
  const at::ScalarType type = embed_tokens_.scalar_type();
  return {at::cat({cos, cos}, 1).unsqueeze(1).to(type), at::cat({-sin, sin}, 1).unsqueeze(1).to(type)};
}

KvCache Decoder::MakeCache(int64_t capacity) {
  if (capacity > rope_.cos.size(0)) rope_ = MakeRope(capacity);
  KvCache cache;
  cache.capacity = capacity;
  for (size_t i = 0; i < layers_.size(); ++i) {
    const std::vector<int64_t> shape = {1, config_.num_attention_heads, capacity, config_.head_dim()};
    cache.key.push_back(at::empty(shape, embed_tokens_.options()));
    cache.value.push_back(at::empty(shape, embed_tokens_.options()));
  }
  return cache;
}

at::Tensor Decoder::Embed(const at::Tensor& ids, Phase phase) const {
  return In(embed_tokens_range_[phase], [&] { return at::embedding(embed_tokens_, ids); });
}

at::Tensor Decoder::Forward(at::Tensor x, Phase phase, KvCache& cache, const Probe& probe) const {
  const Place place = Place::KnownToHost(rope_, cache.length, x.size(0));
  cache.length += x.size(0);
  return RunLayers(std::move(x), phase, place, cache, probe);
}

at::Tensor Decoder::ForwardStatic(at::Tensor x, const at::Tensor& position, int64_t span, KvCache& cache,
                                  const Probe& probe) const {
  return RunLayers(std::move(x), Phase::kDecode, Place::OnDevice(rope_, position, span), cache, probe);
}

void Decoder::StackExperts() {
  for (DecoderLayer& layer : layers_) layer.StackExperts();
}

at::Tensor Decoder::RunLayers(at::Tensor x, Phase phase, const Place& place, KvCache& cache, const Probe& probe) const {
  for (const DecoderLayer& layer : layers_) x = layer.Forward(std::move(x), phase, place, cache, probe);
  x = In(norm_range_[phase], [&] { return norm_(x); });
  probe("decoder.hidden_after_final_norm", x);
  return x;
}

at::Tensor Decoder::LastLogits(const at::Tensor& hidden, Phase phase) const {
  return In(lm_head_range_[phase], [&] { return lm_head_(hidden.narrow(0, hidden.size(0) - 1, 1)); });
}

}  // namespace dsocr::model
