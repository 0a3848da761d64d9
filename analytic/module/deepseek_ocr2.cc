#include <cstdint>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "analytic/module/layers.h"
#include "analytic/module/parts.h"

namespace dsocr::analytic {
namespace {

using F = Frame;
constexpr char kModelClass[] = "modeling_deepseekocr2.DeepseekOCR2Model";
constexpr char kTopClass[] = "modeling_deepseekocr2.DeepseekOCR2ForCausalLM";
constexpr char kPackage[] = "deepencoderv2";
constexpr int64_t kLearnedRows = 1;  // separator

Dims Rows() { return {&F::batch, &F::encoder_tokens}; }
Dims Mask() { return {&F::batch, 1, &F::encoder_tokens, &F::encoder_tokens}; }

NormLayer RmsNorm(std::string name, const QueryEncoderSpec& encoder) {
  return {.name = std::move(name),
          .kind = NormKind::kRms,
          .width = encoder.width,
          .eps = encoder.rms_norm_eps,
          .qualified_class_name = "transformers.models.qwen2.modeling_qwen2.Qwen2RMSNorm"};
}

void AddLayers(TreeBuilder& builder, const QueryEncoderSpec& encoder, const LayerGroup& group) {
  const Dims tokens = Append(Rows(), {encoder.width});
  const auto scope =
      builder.OpenGroup({.name = "layer",
                         .qualified_class_name = "transformers.models.qwen2.modeling_qwen2.Qwen2DecoderLayer",
                         .constructor_params = {{"hidden_size", encoder.width},
                                                {"num_attention_heads", encoder.heads},
                                                {"num_key_value_heads", encoder.kv_heads},
                                                {"intermediate_size", encoder.ffn_hidden_size}},
                         .input = tokens,
                         .output = tokens,
                         .held = Mask()},
                        group.indices);
  AddNorm(builder, RmsNorm("input_layernorm", encoder), Rows(), tokens);
  AddRotaryAttention(builder, {.qualified_class_name = "transformers.models.qwen2.modeling_qwen2.Qwen2SdpaAttention",
                               .rope_function = "transformers.models.qwen2.modeling_qwen2.apply_rotary_pos_emb",
                               .hidden = encoder.width,
                               .heads = encoder.heads,
                               .kv_heads = encoder.kv_heads,
                               .rope_theta = encoder.rope_theta,
                               .has_qkv_bias = true,
                               .has_mask = true,
                               .tokens = &F::encoder_tokens,
                               .keys = &F::encoder_tokens});
  AddBinary(builder, "attn_residual", class_name::kAdd, tokens);
  AddNorm(builder, RmsNorm("post_attention_layernorm", encoder), Rows(), tokens);
  AddSwiGlu(builder,
            {.qualified_class_name = "transformers.models.qwen2.modeling_qwen2.Qwen2MLP",
             .hidden = encoder.width,
             .intermediate = encoder.ffn_hidden_size},
            Rows());
  AddBinary(builder, "mlp_residual", class_name::kAdd, tokens);
}

void AddEncoder(TreeBuilder& builder, const QueryEncoderSpec& encoder) {
  const int64_t width = encoder.width;
  const Dims features = {&F::batch, width, &F::feature_grid, &F::feature_grid};
  const Dims tokens = Append(Rows(), {width});
  const auto scope = builder.Open({.name = "encoder",
                                   .qualified_class_name = "deepencoderv2.Qwen2Decoder2Encoder",
                                   .constructor_params = {{"hidden_dimension", width},
                                                          {"decoder_layer", encoder.layers},
                                                          {"num_attention_heads", encoder.heads},
                                                          {"num_key_value_heads", encoder.kv_heads},
                                                          {"intermediate_size", encoder.ffn_hidden_size}},
                                   .input = features,
                                   .output = {&F::batch, &F::queries, width}});
  const int64_t query_rows = std::reduce(encoder.query_tables.begin(), encoder.query_tables.end());
  builder.Leaf({.name = "append_queries",
                .qualified_class_name = class_name::kCat,
                .input = {&F::batch, &F::features, width},
                .output = tokens,
                .operators = {{CategoryId::kCopy,
                               [width, tokens](const Frame& f) {
                                 return Copy{.read = (f.batch * f.features + f.queries) * width,
                                             .written = Product(f, tokens)};
                               }}},
                .parameters = query_rows * width,
                .is_outside_stages = true});
  // A feature sees all features; a query all features, and queries up to itself. The mask is dense, and so is the work.
  builder.Leaf({.name = "mask",
                .qualified_class_name = "deepencoderv2.CustomQwen2Decoder",
                .input = Rows(),
                .output = Mask(),
                .held = tokens,
                .operators = {{CategoryId::kCopy,
                               [](const Frame& f) { return Copy{.read = 0, .written = Product(f, Mask())}; }}}});
  for (const LayerGroup& group : GroupLayers(std::vector<int>(static_cast<size_t>(encoder.layers)))) {
    AddLayers(builder, encoder, group);
  }
  AddNorm(builder, RmsNorm("norm", encoder), Rows(), tokens);
}

// The queries are the end of each view's sequence: those of a single view lie together already.
NodeSpec SelectQueries(const QueryEncoderSpec& encoder) {
  const Dims queries = {&F::batch, &F::queries, encoder.width};
  return {.name = "select_queries",
          .qualified_class_name = class_name::kContiguous,
          .input = queries,
          .output = queries,
          .operators = {{CategoryId::kCopy,
                         [queries](const Frame& f) {
                           return Copy{.read = Product(f, queries), .written = Product(f, queries)};
                         }}},
          .runs = [](const Frame& f) { return f.batch > 1; }};
}

}  // namespace

ModuleTree Compose(const ModelSpec& model, const QueryEncoderSpec& encoder) {
  ModuleTree tree;
  TreeBuilder builder(&tree, RootOf(model, kTopClass));
  {
    const auto vision = builder.OpenStage({.name = "vision",
                                           .qualified_class_name = kModelClass,
                                           .input = {&F::batch, 3, &F::side, &F::side},
                                           .output = {&F::batch, &F::queries, encoder.width}},
                                          Stage::kVision, FrameSet::kViews);
    AddSam(builder, model.sam, kPackage);
    AddEncoder(builder, encoder);
  }
  AddProjector(builder,
               {.model_class = kModelClass,
                .projector_class = "deepencoderv2.MlpProjector",
                .gather = SelectQueries(encoder),
                .learned_rows = kLearnedRows},
               model.decoder);
  AddLanguageStages(builder, model.decoder, kTopClass);
  return tree;
}

}  // namespace dsocr::analytic
