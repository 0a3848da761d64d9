#include "analytic/category.h"

#include <cstddef>

namespace dsocr::analytic {

const std::vector<Category>& Categories() {
  static const auto& categories = *new std::vector<Category>{
      {"gemm",
       "Matrix product",
       "matrix-matrix, batched and grouped, with its split-K reduction",
       {"torch.nn.modules.linear.Linear", "torch.einsum", "modeling_deepseekv2.MoEGate"}},
      {"gemv", "Matrix-vector product", "a linear over one row", {}},
      {"conv", "Convolution", "", {"torch.nn.modules.conv.Conv2d", "deepencoder.PatchEmbed"}},
      {"attention",
       "Attention",
       "fused scaled dot product, with its combine",
       {"torch.nn.functional.scaled_dot_product_attention"}},
      {"norm",
       "Normalisation",
       "",
       {"torch.nn.modules.normalization.LayerNorm", "deepencoder.LayerNorm2d",
        "modeling_deepseekv2.DeepseekV2RMSNorm"}},
      {"softmax", "Softmax", "", {"torch.nn.functional.softmax"}},
      {"activation",
       "Activation",
       "",
       {"torch.nn.modules.activation.GELU", "torch.nn.modules.activation.SiLU", "deepencoder.quick_gelu"}},
      {"elementwise", "Elementwise", "the rest that is pointwise", {"torch.add", "torch.mul"}},
      {"reduction", "Reduction", "sums, means, arg-max, scans", {}},
      {"embedding", "Embedding", "", {"torch.nn.modules.sparse.Embedding"}},
      {"index",
       "Index",
       "gather, scatter, select, put",
       {"torch.Tensor.index_select", "torch.Tensor.masked_scatter_", "torch.Tensor.index_add_"}},
      {"copy",
       "Copy",
       "copies, casts, concatenation, layout changes, fills, cache writes",
       {"torch.cat", "torch.Tensor.contiguous", "deepencoder.window_partition", "deepencoder.window_unpartition",
        "transformers.cache_utils.DynamicCache"}},
      {"memset", "Memory set", "", {}},
      {"routing", "Routing", "top-k, sort, dispatch of tokens to experts", {"torch.topk", "torch.argsort"}},
      {"rope",
       "Rotary embedding",
       "",
       {"transformers.models.llama.modeling_llama.LlamaRotaryEmbedding",
        "transformers.models.llama.modeling_llama.apply_rotary_pos_emb"}},
      {"interpolate", "Interpolation", "", {"torch.nn.functional.interpolate"}},
      {"sampling", "Sampling", "choice of the next token", {"transformers.generation.utils.GenerationMixin"}},
      {"communication", "Communication", "between devices", {}},
      {"other", "Other", "what no other category names", {}},
  };
  return categories;
}

std::string_view CategoryName(CategoryId category) { return Categories()[static_cast<size_t>(category)].id; }

std::optional<CategoryId> FindCategory(std::string_view id) {
  const std::vector<Category>& categories = Categories();
  for (size_t i = 0; i < categories.size(); ++i) {
    if (categories[i].id == id) {
      return static_cast<CategoryId>(i);
    }
  }
  return std::nullopt;
}

}  // namespace dsocr::analytic
