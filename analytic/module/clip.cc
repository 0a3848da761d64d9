#include <cstdint>

#include "analytic/module/layers.h"
#include "analytic/module/parts.h"

namespace dsocr::analytic {
namespace {

constexpr double kEps = 1e-5;

using F = Frame;

void AddEmbeddings(TreeBuilder& builder, const ClipSpec& clip) {
  const int64_t width = clip.width;
  const int64_t native = clip.image_size / clip.patch_size;
  const Dims tokens = {&F::batch, &F::encoder_tokens, width};
  const Dims features = {&F::batch, width, &F::feature_grid, &F::feature_grid};
  const auto scope = builder.Open(
      {.name = "embeddings",
       .qualified_class_name = "deepencoder.CLIPVisionEmbeddings",
       .constructor_params = {{"hidden_size", width}, {"image_size", clip.image_size}, {"patch_size", clip.patch_size}},
       .input = features,
       .output = tokens});
  // The model carries these weights and never uses them: SAM's features take the place of patches.
  builder.Leaf({.name = "patch_embedding",
                .qualified_class_name = class_name::kConv2d,
                .constructor_params = {{"in_channels", int64_t{3}},
                                       {"out_channels", width},
                                       {"kernel_size", clip.patch_size},
                                       {"stride", clip.patch_size},
                                       {"bias", false}},
                .operators = {{CategoryId::kConv, [](const Frame&) { return Conv2d{}; }}},
                .parameters = width * 3 * clip.patch_size * clip.patch_size,
                .runs = [](const Frame&) { return false; }});
  builder.Leaf({.name = "concat",
                .qualified_class_name = class_name::kCat,
                .input = {&F::batch, &F::features, width},
                .output = tokens,
                .operators = {{CategoryId::kCopy,
                               [tokens](const Frame& f) {
                                 return Copy{.read = Product(f, tokens), .written = Product(f, tokens)};
                               }}},
                .parameters = width});
  AddPositions(builder,
               {.native_grid = native,
                .grid = &F::feature_grid,
                .extra_rows = 1,
                .width = width,
                .held = {2, &F::batch, &F::encoder_tokens, width}},  // the features and the tokens
               tokens);
}

void AddSelfAttention(TreeBuilder& builder, const ClipSpec& clip) {
  const int64_t width = clip.width;
  const int64_t heads = clip.heads;
  const int64_t head_dim = width / heads;
  const Dims rows = {&F::batch, &F::encoder_tokens};
  const Dims tokens = Append(rows, {width});
  const Dims by_head = {&F::batch, heads, &F::encoder_tokens, head_dim};
  const auto scope = builder.Open({.name = "self_attn",
                                   .qualified_class_name = "deepencoder.NoTPAttention",
                                   .constructor_params = {{"hidden_size", width}, {"num_attention_heads", heads}},
                                   .input = tokens,
                                   .output = tokens,
                                   .held = tokens});
  AddLinear(builder, {.name = "qkv_proj", .in = width, .out = 3 * width}, rows);
  AddLayoutCopy(builder, "split_heads", Append(rows, {3 * width}), {3, &F::batch, heads, &F::encoder_tokens, head_dim});
  builder.Leaf({.name = "core",
                .qualified_class_name = class_name::kAttentionCore,
                .constructor_params = {{"num_heads", heads}, {"head_dim", head_dim}, {"has_bias", false}},
                .input = by_head,
                .output = by_head,
                .operators = {{CategoryId::kAttention, [heads, head_dim](const Frame& f) {
                                 return Attention{.batch = f.batch,
                                                  .heads = heads,
                                                  .kv_heads = heads,
                                                  .query_len = f.encoder_tokens,
                                                  .kv_len = f.encoder_tokens,
                                                  .head_dim = head_dim};
                               }}}});
  AddLayoutCopy(builder, "merge_heads", by_head, tokens);
  AddLinear(builder, {.name = "out_proj", .in = width, .out = width}, rows);
}

void AddLayers(TreeBuilder& builder, const ClipSpec& clip, const LayerGroup& group) {
  const int64_t width = clip.width;
  const Dims rows = {&F::batch, &F::encoder_tokens};
  const Dims tokens = Append(rows, {width});
  const auto scope = builder.OpenGroup({.name = "layer",
                                        .qualified_class_name = "deepencoder.NoTPTransformerBlock",
                                        .constructor_params = {{"hidden_size", width},
                                                               {"num_attention_heads", clip.heads},
                                                               {"ffn_hidden_size", clip.ffn_hidden_size},
                                                               {"layernorm_epsilon", kEps}},
                                        .input = tokens,
                                        .output = tokens,
                                        .held = {&F::batch, width, &F::features}},  // for the projector
                                       group.indices);
  AddNorm(builder, {.name = "layer_norm1", .width = width, .eps = kEps}, rows, tokens);
  AddSelfAttention(builder, clip);
  AddBinary(builder, "attn_residual", class_name::kAdd, tokens);
  AddNorm(builder, {.name = "layer_norm2", .width = width, .eps = kEps}, rows, tokens);
  {
    const auto mlp = builder.Open({.name = "mlp",
                                   .qualified_class_name = "deepencoder.NoTPFeedForward",
                                   .constructor_params = {{"dim", width}, {"hidden_dim", clip.ffn_hidden_size}},
                                   .input = tokens,
                                   .output = tokens,
                                   .held = tokens});
    AddLinear(builder, {.name = "fc1", .in = width, .out = clip.ffn_hidden_size}, rows);
    AddActivation(builder, {.kind = ActivationKind::kQuickGelu, .qualified_class_name = "deepencoder.quick_gelu"},
                  Append(rows, {clip.ffn_hidden_size}));
    AddLinear(builder, {.name = "fc2", .in = clip.ffn_hidden_size, .out = width}, rows);
  }
  AddBinary(builder, "mlp_residual", class_name::kAdd, tokens);
}

}  // namespace

void AddClip(TreeBuilder& builder, const ClipSpec& clip) {
  const Dims rows = {&F::batch, &F::encoder_tokens};
  const Dims tokens = Append(rows, {clip.width});
  const Dims features = {&F::batch, clip.width, &F::feature_grid, &F::feature_grid};
  const auto scope = builder.Open({.name = "clip",
                                   .qualified_class_name = "deepencoder.VitModel",
                                   .constructor_params = {{"hidden_size", clip.width},
                                                          {"num_layers", clip.layers},
                                                          {"num_attention_heads", clip.heads},
                                                          {"ffn_hidden_size", clip.ffn_hidden_size},
                                                          {"image_size", clip.image_size},
                                                          {"patch_size", clip.patch_size}},
                                   .input = features,
                                   .output = tokens});
  AddEmbeddings(builder, clip);
  AddNorm(builder, {.name = "pre_layrnorm", .width = clip.width, .eps = kEps, .held = features}, rows, tokens);
  for (const LayerGroup& group : GroupLayers(std::vector<int>(static_cast<size_t>(clip.layers)))) {
    AddLayers(builder, clip, group);
  }
}

}  // namespace dsocr::analytic
