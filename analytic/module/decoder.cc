#include <cmath>
#include <cstdint>
#include <functional>

#include "analytic/module/layers.h"
#include "analytic/module/parts.h"
#include "analytic/routing.h"

namespace dsocr::analytic {
namespace {

using F = Frame;

constexpr int kDenseLayer = 0;
constexpr int kExpertLayer = 1;
// A pair of token and expert: its fp32 weight, and in int64 its expert, its token and its row among the sorted ones.
constexpr int64_t kRoutingBytes = 28;

// Decode runs the same modules over one row: matrix-vector products.
struct DecoderPart {
  const DecoderSpec& spec;
  bool is_prefill;
  CategoryId linear;
};

Dims Rows() { return {&F::batch, &F::tokens}; }

NormLayer RmsNorm(std::string name, const DecoderSpec& spec) {
  return {.name = std::move(name),
          .kind = NormKind::kRms,
          .width = spec.hidden_size,
          .eps = spec.rms_norm_eps,
          .qualified_class_name = "modeling_deepseekv2.DeepseekV2RMSNorm"};
}

void AddSelfAttention(TreeBuilder& builder, const DecoderPart& part) {
  AddRotaryAttention(builder, {.qualified_class_name = "transformers.models.llama.modeling_llama.LlamaFlashAttention2",
                               .rope_function = "transformers.models.llama.modeling_llama.apply_rotary_pos_emb",
                               .hidden = part.spec.hidden_size,
                               .heads = part.spec.heads,
                               .kv_heads = part.spec.kv_heads,
                               .rope_theta = part.spec.rope_theta,
                               .has_cache = true,
                               .linear = part.linear,
                               .tokens = &F::tokens,
                               .keys = &F::keys});
}

// A dense layer's `mlp`, an expert layer's `shared_experts`.
void AddMlp(TreeBuilder& builder, const DecoderPart& part, const char* name, int64_t intermediate) {
  AddSwiGlu(builder,
            {.name = name,
             .qualified_class_name = "modeling_deepseekv2.DeepseekV2MLP",
             .hidden = part.spec.hidden_size,
             .intermediate = intermediate,
             .linear = part.linear},
            Rows());
}

// The operators of the routed experts, for rows spread evenly over those that are hit: rows sorted by expert, three
// products with SwiGLU for every one of them, rows back in order, and the weighted sum of the k rows of each token. One
// row needs no sorting.
//
// Alive at once, as the runner does it: the sorted rows and the results of all experts, with what one expert is at;
// then the results, and the same joined or in order; then the results, and the same in fp32 for the sum.
std::vector<LeafOperator> ExpertOperators(const DecoderPart& part, const std::function<double(const Frame&)>& hit) {
  const int64_t hidden = part.spec.hidden_size;
  const int64_t wide = part.spec.moe_intermediate_size;
  const int64_t k = part.spec.experts_per_token;
  const bool is_recorded = IsRecorded(part.spec, part.is_prefill);
  const auto pairs = [k](const Frame& f) { return f.batch * f.tokens * k; };
  const auto pieces = [hit](const Frame& f) { return f.is_replayed ? 1.0 : hit(f); };
  const auto live_elements = [=, is_prefill = part.is_prefill](const Frame& f) {
    const double rows_of_one = static_cast<double>(pairs(f)) / hit(f);
    return 2 * pairs(f) * hidden + (is_prefill ? std::llround(2 * rows_of_one * static_cast<double>(wide)) : 0);
  };
  const auto product = [=](int64_t n, int64_t depth) {
    return LeafOperator{part.linear, [=](const Frame& f) {
                          return GroupedGemm{.groups = hit(f),
                                             .hit_is_recorded = is_recorded,
                                             .rows = pairs(f),
                                             .n = n,
                                             .k = depth,
                                             .live_elements = live_elements(f),
                                             .routing_bytes = pairs(f) * kRoutingBytes,
                                             .is_gathered = f.is_replayed};
                        }};
  };
  const LeafOperator sort = {CategoryId::kIndex,
                             [=](const Frame& f) { return Gather{.rows = pairs(f), .width = hidden}; }};
  std::vector<LeafOperator> operators = {
      product(wide, hidden),  // gate_proj
      product(wide, hidden),  // up_proj
      {CategoryId::kActivation,
       [=](const Frame& f) {
         return Activation{.kind = ActivationKind::kSilu, .elements = pairs(f) * wide, .pieces = pieces(f)};
       }},
      {CategoryId::kElementwise,
       [=](const Frame& f) {
         return Elementwise{.read = 2 * pairs(f) * wide, .written = pairs(f) * wide, .pieces = pieces(f)};
       }},
      product(hidden, wide),  // down_proj
      {CategoryId::kElementwise, [=](const Frame& f) {
         const int64_t written = f.batch * f.tokens * hidden;
         return Elementwise{.read = pairs(f) * (hidden + 1),
                            .written = written,
                            .flops_per_element = 2 * k,
                            .widened_bytes = (pairs(f) * hidden + written) * kFp32Bytes + pairs(f) * kRoutingBytes};
       }}};
  if (part.is_prefill) {
    operators.insert(operators.begin(), sort);
    operators.insert(operators.end() - 1, sort);
  }
  return operators;
}

void AddMoe(TreeBuilder& builder, const DecoderPart& part) {
  const DecoderSpec& spec = part.spec;
  const int64_t experts = spec.routed_experts;
  const int64_t k = spec.experts_per_token;
  const Dims tokens = Append(Rows(), {spec.hidden_size});
  const Dims scores = Append(Rows(), {experts});
  const Dims picks = Append(Rows(), {k});
  const auto scope = builder.Open({.name = "moe",
                                   .qualified_class_name = "modeling_deepseekv2.DeepseekV2MoE",
                                   .constructor_params = {{"n_routed_experts", experts},
                                                          {"n_shared_experts", spec.shared_experts},
                                                          {"num_experts_per_tok", k},
                                                          {"norm_topk_prob", spec.norm_topk_prob},
                                                          {"routed_scaling_factor", spec.routed_scaling_factor}},
                                   .input = tokens,
                                   .output = tokens,
                                   .held = tokens});
  AddLinear(builder,
            {.name = "gate",
             .in = spec.hidden_size,
             .out = experts,
             .has_bias = false,
             .category = part.linear,
             .qualified_class_name = "modeling_deepseekv2.MoEGate"},
            Rows());
  builder.Leaf({.name = "softmax",
                .qualified_class_name = class_name::kSoftmax,
                .input = scores,
                .output = scores,
                .held = tokens,
                .operators = {{CategoryId::kSoftmax, [experts](const Frame& f) {
                                 return Softmax{.rows = f.batch * f.tokens, .width = experts};
                               }}}});
  builder.Leaf({.name = "topk",
                .qualified_class_name = class_name::kTopK,
                .constructor_params = {{"k", k}},
                .input = scores,
                .output = picks,
                .held = tokens,
                .operators = {{CategoryId::kRouting, [experts, k](const Frame& f) {
                                 return TopK{.tokens = f.batch * f.tokens, .experts = experts, .k = k};
                               }}}});
  builder.Leaf({.name = "dispatch",
                .qualified_class_name = class_name::kArgsort,
                .input = picks,
                .output = picks,
                .held = tokens,
                .operators = {{CategoryId::kRouting,
                               [experts, picks](const Frame& f) {
                                 return Dispatch{.pairs = Product(f, picks), .experts = experts};
                               }}},
                .host_wait = HostWait::kUnlessReplayed});
  const std::function<double(const Frame&)> hit = [spec, is_prefill = part.is_prefill](const Frame& f) {
    return ExpertsHit(spec, is_prefill, f.batch * f.tokens);
  };
  builder.Leaf(
      {.name = "experts",
       .qualified_class_name = class_name::kModuleList,
       .constructor_params = {{"n_routed_experts", experts}, {"moe_intermediate_size", spec.moe_intermediate_size}},
       .input = tokens,
       .output = tokens,
       .repetition = Repetition::kParfor,
       .repetition_count = experts,
       .held = tokens,
       .operators = ExpertOperators(part, hit),
       .experts_hit = hit,
       .parameters = experts * 3 * spec.hidden_size * spec.moe_intermediate_size});
  AddMlp(builder, part, "shared_experts", spec.shared_experts * spec.moe_intermediate_size);
  AddBinary(builder, "add", class_name::kAdd, tokens);
}

void AddLayers(TreeBuilder& builder, const DecoderPart& part, const LayerGroup& group) {
  const DecoderSpec& spec = part.spec;
  const Dims tokens = Append(Rows(), {spec.hidden_size});
  const auto scope = builder.OpenGroup(
      {.name = "layer",
       .qualified_class_name = "modeling_deepseekv2.DeepseekV2DecoderLayer",
       .constructor_params = {{"hidden_size", spec.hidden_size}, {"uses_moe", group.kind == kExpertLayer}},
       .input = tokens,
       .output = tokens},
      group.indices);
  AddNorm(builder, RmsNorm("input_layernorm", spec), Rows(), tokens);
  AddSelfAttention(builder, part);
  AddBinary(builder, "attn_residual", class_name::kAdd, tokens);
  AddNorm(builder, RmsNorm("post_attention_layernorm", spec), Rows(), tokens);
  if (group.kind == kExpertLayer) {
    AddMoe(builder, part);
  } else {
    AddMlp(builder, part, "mlp", spec.intermediate_size);
  }
  AddBinary(builder, "mlp_residual", class_name::kAdd, tokens);
}

// The children of `prefill` or `decode`: one forward pass of the language model and the choice of a token.
void AddPass(TreeBuilder& builder, const DecoderSpec& decoder, bool is_prefill) {
  const DecoderPart part = {decoder, is_prefill, is_prefill ? CategoryId::kGemm : CategoryId::kGemv};
  const int64_t hidden = decoder.hidden_size;
  const Dims tokens = Append(Rows(), {hidden});
  const Dims last_row = {&F::batch, 1};  // logits of the last position alone
  // All positions after the final norm; in decode the token's row besides, in which the layers' sums were made.
  const Dims hidden_rows = is_prefill ? tokens : Dims{&F::batch, 2, hidden};
  builder.Leaf(
      {.name = "embed_tokens",
       .qualified_class_name = class_name::kEmbedding,
       .constructor_params = {{"num_embeddings", decoder.vocab_size}, {"embedding_dim", hidden}},
       .input = Rows(),
       .output = tokens,
       .operators = {{CategoryId::kEmbedding,
                      [hidden](const Frame& f) { return Gather{.rows = f.batch * f.tokens, .width = hidden}; }}},
       .parameters = decoder.vocab_size * hidden});
  if (is_prefill) {
    builder.Leaf({.name = "merge_image_features",
                  .qualified_class_name = class_name::kMaskedScatter,
                  .input = tokens,
                  .output = tokens,
                  .operators = {{CategoryId::kIndex, [hidden](const Frame& f) {
                                   return Gather{.rows = f.batch * f.image_tokens, .width = hidden};
                                 }}}});
  }
  std::vector<int> kinds;
  for (int64_t i = 0; i < decoder.layers; ++i) {
    kinds.push_back(i < decoder.first_k_dense ? kDenseLayer : kExpertLayer);
  }
  for (const LayerGroup& group : GroupLayers(kinds)) {
    AddLayers(builder, part, group);
  }
  AddNorm(builder, RmsNorm("norm", decoder), Rows(), tokens);
  AddLinear(builder,
            {.name = "lm_head",
             .in = hidden,
             .out = decoder.vocab_size,
             .has_bias = false,
             .category = CategoryId::kGemv,
             .held = hidden_rows},
            last_row);
  builder.Leaf({.name = "sample",
                .qualified_class_name = "transformers.generation.utils.GenerationMixin",
                .input = Append(last_row, {decoder.vocab_size}),
                .output = last_row,
                .held = hidden_rows,
                .operators = {{CategoryId::kSampling,
                               [vocabulary = decoder.vocab_size](const Frame& f) {
                                 return Sampling{.rows = f.batch, .vocabulary = vocabulary, .context = f.keys};
                               }}},
                .host_wait = HostWait::kAlways});
}

}  // namespace

void AddLanguageStages(TreeBuilder& builder, const DecoderSpec& decoder, const std::string& qualified_class_name) {
  const Dims next_token = {&F::batch, 1};
  {
    const auto prefill = builder.OpenStage(
        {.name = "prefill", .qualified_class_name = qualified_class_name, .input = Rows(), .output = next_token},
        Stage::kPrefill, FrameSet::kPrefill);
    AddPass(builder, decoder, /*is_prefill=*/true);
  }
  const auto decode = builder.OpenStage({.name = "decode",
                                         .qualified_class_name = qualified_class_name,
                                         .input = Rows(),
                                         .output = next_token,
                                         .repetition = Repetition::kFor,
                                         .repeats_with_passes = true},
                                        Stage::kDecode, FrameSet::kDecode);
  AddPass(builder, decoder, /*is_prefill=*/false);
}

}  // namespace dsocr::analytic
