#include "model/weights/weight_list.h"

namespace dsocr::model {
namespace {

class Lister {
 public:
  void Add(std::string name, std::vector<int64_t> shape, Init init) {
    specs_.push_back({std::move(name), std::move(shape), init});
  }
  void Matrix(const std::string& name, int64_t out, int64_t in, Init init = Init::kFanIn) {
    Add(name + ".weight", {out, in}, init);
  }
  void Linear(const std::string& name, int64_t out, int64_t in, Init init = Init::kFanIn) {
    Matrix(name, out, in, init);
    Add(name + ".bias", {out}, Init::kZero);
  }
  void LayerNorm(const std::string& name, int64_t width) {
    Add(name + ".weight", {width}, Init::kOne);
    Add(name + ".bias", {width}, Init::kZero);
  }
  void RmsNorm(const std::string& name, int64_t width) { Add(name + ".weight", {width}, Init::kOne); }
  void Conv(const std::string& name, int64_t out, int64_t in, int64_t side) {
    Add(name + ".weight", {out, in, side, side}, Init::kFanIn);
  }
  void GatedMlp(const std::string& name, int64_t hidden, int64_t inner) {
    Matrix(name + ".gate_proj", inner, hidden);
    Matrix(name + ".up_proj", inner, hidden);
    Matrix(name + ".down_proj", hidden, inner, Init::kResidual);
  }

  std::vector<WeightSpec> Take() { return std::move(specs_); }

 private:
  std::vector<WeightSpec> specs_;
};

void ListSam(const SamConfig& sam, Lister& list) {
  const std::string base = "model.sam_model.";
  const int64_t grid = sam.native_grid();
  list.Add(base + "pos_embed", {1, grid, grid, sam.width}, Init::kUnit);
  list.Conv(base + "patch_embed.proj", sam.width, 3, sam.patch_size);
  list.Add(base + "patch_embed.proj.bias", {sam.width}, Init::kZero);
  for (int64_t i = 0; i < sam.layers; ++i) {
    const std::string block = base + "blocks." + std::to_string(i) + ".";
    const int64_t table = 2 * sam.native_attention_side(i) - 1;
    list.LayerNorm(block + "norm1", sam.width);
    list.Add(block + "attn.rel_pos_h", {table, sam.head_dim()}, Init::kFanIn);
    list.Add(block + "attn.rel_pos_w", {table, sam.head_dim()}, Init::kFanIn);
    list.Linear(block + "attn.qkv", 3 * sam.width, sam.width);
    list.Linear(block + "attn.proj", sam.width, sam.width, Init::kResidual);
    list.LayerNorm(block + "norm2", sam.width);
    list.Linear(block + "mlp.lin1", sam.mlp_ratio * sam.width, sam.width);
    list.Linear(block + "mlp.lin2", sam.width, sam.mlp_ratio * sam.width, Init::kResidual);
  }
  list.Conv(base + "neck.0", sam.neck_channels, sam.width, 1);
  list.LayerNorm(base + "neck.1", sam.neck_channels);
  list.Conv(base + "neck.2", sam.neck_channels, sam.neck_channels, 3);
  list.LayerNorm(base + "neck.3", sam.neck_channels);
  list.Conv(base + "net_2", sam.downsample_channels[0], sam.neck_channels, 3);
  list.Conv(base + "net_3", sam.downsample_channels[1], sam.downsample_channels[0], 3);
}

void ListClip(const ClipConfig& clip, Lister& list) {
  const std::string base = "model.vision_model.";
  const int64_t grid = clip.native_grid();
  list.Add(base + "embeddings.class_embedding", {clip.width}, Init::kUnit);
  list.Conv(base + "embeddings.patch_embedding", clip.width, 3, clip.patch_size);
  list.Add(base + "embeddings.position_embedding.weight", {grid * grid + 1, clip.width}, Init::kUnit);
  list.LayerNorm(base + "pre_layrnorm", clip.width);
  for (int64_t i = 0; i < clip.layers; ++i) {
    const std::string layer = base + "transformer.layers." + std::to_string(i) + ".";
    list.LayerNorm(layer + "layer_norm1", clip.width);
    list.Linear(layer + "self_attn.qkv_proj", 3 * clip.width, clip.width);
    list.Linear(layer + "self_attn.out_proj", clip.width, clip.width, Init::kResidual);
    list.LayerNorm(layer + "layer_norm2", clip.width);
    list.Linear(layer + "mlp.fc1", clip.ffn_hidden_size, clip.width);
    list.Linear(layer + "mlp.fc2", clip.width, clip.ffn_hidden_size, Init::kResidual);
  }
}

void ListDecoder(const DecoderConfig& decoder, Lister& list) {
  const int64_t hidden = decoder.hidden_size;
  list.Matrix("model.embed_tokens", decoder.vocab_size, hidden, Init::kUnit);
  for (int64_t i = 0; i < decoder.num_hidden_layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    list.RmsNorm(layer + "input_layernorm", hidden);
    list.Matrix(layer + "self_attn.q_proj", hidden, hidden);
    list.Matrix(layer + "self_attn.k_proj", hidden, hidden);
    list.Matrix(layer + "self_attn.v_proj", hidden, hidden);
    list.Matrix(layer + "self_attn.o_proj", hidden, hidden, Init::kResidual);
    list.RmsNorm(layer + "post_attention_layernorm", hidden);
    if (decoder.is_moe(i)) {
      list.Matrix(layer + "mlp.gate", decoder.n_routed_experts, hidden);
      for (int64_t e = 0; e < decoder.n_routed_experts; ++e) {
        list.GatedMlp(layer + "mlp.experts." + std::to_string(e), hidden, decoder.moe_intermediate_size);
      }
      list.GatedMlp(layer + "mlp.shared_experts", hidden, decoder.n_shared_experts * decoder.moe_intermediate_size);
    } else {
      list.GatedMlp(layer + "mlp", hidden, decoder.intermediate_size);
    }
  }
  list.RmsNorm("model.norm", hidden);
  list.Matrix("lm_head", decoder.vocab_size, hidden);
}

}  // namespace

int64_t WeightSpec::numel() const {
  int64_t count = 1;
  for (int64_t extent : shape) count *= extent;
  return count;
}

int64_t WeightSpec::fan_in() const { return shape.empty() || shape[0] == 0 ? 1 : numel() / shape[0]; }

std::vector<WeightSpec> ListWeights(const ModelConfig& config) {
  Lister list;
  ListSam(config.sam, list);
  ListClip(config.clip, list);
  list.Linear("model.projector.layers", config.decoder.hidden_size, 2 * config.clip.width, Init::kProjector);
  list.Add("model.image_newline", {config.decoder.hidden_size}, Init::kHalf);
  list.Add("model.view_seperator", {config.decoder.hidden_size}, Init::kHalf);
  ListDecoder(config.decoder, list);
  return list.Take();
}

}  // namespace dsocr::model
