#include "analytic/module/definition.h"

namespace dsocr::analytic {
namespace {

// A class that several modules share is told apart by the module's name; "" is any.
struct Definition {
  std::string_view name;
  std::string_view class_name;  // the last part of the qualified name
  std::string_view text;
};

constexpr Definition kDefinitions[] = {
    {"deepseek_ocr", "",
     "One request: the page's views through the vision encoders and the projector, the prompt through the decoder, "
     "then one token after another."},
    {"vision", "", "A group of views of equal size through both vision encoders: pixels in, features out."},
    {"projector", "",
     "Projects the features of all views to the decoder's width and puts their rows in reading order."},
    {"prefill", "",
     "One pass of the decoder over the whole prompt; it fills the KV cache and chooses the first new token."},
    {"decode", "", "One pass of the decoder for each further token, over that token alone and the KV cache."},

    // SAM
    {"", "ImageEncoderViT",
     "SAM's vision transformer over patches of 16 x 16 pixels, with attention inside windows in most blocks, and two "
     "convolutions of stride 2 behind its neck."},
    {"", "PatchEmbed",
     "Cuts the image into patches and projects each to a token: a convolution whose stride is its kernel."},
    {"", "get_abs_pos_sam",
     "Adds a learned embedding of the position to every token; its table is resampled where the grid is not the native "
     "one."},
    {"", "Block",
     "A transformer block: norm, attention, residual; norm, MLP, residual. Window blocks attend inside windows of the "
     "grid, global ones over all of it."},
    {"", "window_partition",
     "Pads the grid with zeros to whole windows and cuts it into them. The padding goes through the block's products."},
    {"", "window_unpartition", "Joins the windows again and crops the padding."},
    {"", "Attention", "Multi-head attention over a square of tokens with a bias from their relative position."},
    {"", "add_decomposed_rel_pos",
     "The attention bias from the distance of query and key, by rows and by columns apart, materialised for every "
     "pair."},
    {"", "get_rel_pos",
     "Picks the embedding of every distance: $R_{ij} = \\mathrm{table}_{i - j + n - 1}$, for rows and for columns."},
    {"scores", "einsum",
     "Products of the unscaled queries with the embeddings of the distances, for rows and for columns."},
    {"bias", "add", "Row scores + column scores, broadcast to every pair of positions."},
    {"", "MLPBlock", "Linear, GELU, linear: four times the width in between."},
    {"", "Sequential", "A 1 x 1 and a 3 x 3 convolution to fewer channels, each with a norm over the channels."},
    {"", "LayerNorm2d", "LayerNorm over the channels of an image."},

    // CLIP
    {"", "VitModel", "CLIP's vision transformer over SAM's features in place of patches."},
    {"", "CLIPVisionEmbeddings",
     "Puts a class token before SAM's features and adds a learned embedding of the position."},
    {"patch_embedding", "Conv2d",
     "CLIP's own patch embedding. The model carries its weights and never runs it: SAM's features take the place of "
     "patches."},
    {"", "NoTPTransformerBlock", "A transformer block: norm, attention, residual; norm, MLP, residual."},
    {"", "NoTPAttention", "Multi-head attention over all tokens of a view, one product for queries, keys and values."},
    {"", "NoTPFeedForward", "Linear, quick GELU, linear: four times the width in between."},

    // The encoder of DeepSeek-OCR-2
    {"", "Qwen2Decoder2Encoder",
     "A Qwen2 decoder over SAM's features and learned queries: each layer works on all of them, and the queries alone "
     "are kept."},
    {"append_queries", "cat",
     "Puts the learned queries behind SAM's features. The model holds one table for each view size that it was trained "
     "on."},
    {"mask", "CustomQwen2Decoder",
     "The attention mask, written out: a feature sees all features; a query sees all features, and queries up to "
     "itself."},
    {"", "Qwen2DecoderLayer", "A transformer layer: norm, masked attention, residual; norm, MLP, residual."},
    {"", "Qwen2SdpaAttention",
     "Multi-head attention with rotary embedding; several query heads share keys and values."},
    {"", "Qwen2MLP", "$\\mathrm{down}(\\mathrm{SiLU}(\\mathrm{gate}(x)) \\cdot \\mathrm{up}(x))$."},

    // Projector
    {"select_queries", "contiguous", "Lays the queries of all views one after another, without the features."},
    {"linear", "MlpProjector", "Projects the features of one group of views."},
    {"assemble", "cat",
     "Rows in reading order: those of the crops before those of the global view, and a separator at the end."},

    // Decoder
    {"embed_tokens", "Embedding", "Looks up the embedding of each token id."},
    {"", "masked_scatter_", "Puts the projected image rows in the place of the image tokens of the prompt."},
    {"", "DeepseekV2DecoderLayer",
     "A decoder layer: norm, causal attention, residual; norm, MLP or mixture of experts, residual."},
    {"", "LlamaFlashAttention2", "Multi-head attention with rotary embedding over all keys of the cache."},
    {"", "DynamicCache", "Appends the new keys and values to the cache."},
    {"shared_experts", "DeepseekV2MLP",
     "The experts that every token goes through, as one MLP: $\\mathrm{down}(\\mathrm{SiLU}(\\mathrm{gate}(x)) \\cdot "
     "\\mathrm{up}(x))$."},
    {"", "DeepseekV2MLP", "$\\mathrm{down}(\\mathrm{SiLU}(\\mathrm{gate}(x)) \\cdot \\mathrm{up}(x))$."},
    {"", "DeepseekV2MoE",
     "Mixture of experts: a router picks $k$ experts for each token; their weighted sum and the output of the shared "
     "experts are added."},
    {"", "MoEGate", "Router logits: one score for each token and expert."},
    {"topk", "topk", "The $k$ experts of each token, with their weights."},
    {"dispatch", "argsort",
     "Sorts the pairs of token and expert by expert, so that the rows of an expert lie together."},
    {"experts", "ModuleList",
     "The routed experts: for each expert that has tokens, $\\mathrm{down}(\\mathrm{SiLU}(\\mathrm{gate}(x)) \\cdot "
     "\\mathrm{up}(x))$ over its rows; then the weighted sum of the $k$ rows of each token."},
    {"lm_head", "Linear", "Logits over the vocabulary, for the last position alone."},
    {"", "GenerationMixin", "Chooses the next token."},

    // Built-in operators
    {"", "Linear", "$y = x W^T$, with a bias where the configuration says so."},
    {"", "Conv2d", "A 2-D convolution."},
    {"", "cat", "Concatenation."},
    {"", "contiguous", "Writes the values in another layout, as many out as in."},
    {"", "add", "Sum of two tensors."},
    {"", "mul", "Product of two tensors, value by value."},
};

}  // namespace

std::string_view DefinitionOf(const Node& node) {
  const std::string_view qualified = node.spec.qualified_class_name;
  const std::string_view class_name = qualified.substr(qualified.rfind('.') + 1);
  const std::string_view name = std::string_view(node.spec.name).substr(0, node.spec.name.find('['));
  for (const Definition& definition : kDefinitions) {
    if ((definition.name.empty() || definition.name == name) &&
        (definition.class_name.empty() || definition.class_name == class_name)) {
      return definition.text;
    }
  }
  return {};
}

}  // namespace dsocr::analytic
