#include "daemon/catalog/operator_class.h"

namespace dsocr::catalog {
namespace {

using analytic::CategoryId;

struct Rule {
  std::string_view part;  // of the class name
  CategoryId category;
};

// The first part that the name holds decides, so a longer word stands above a shorter one inside it.
constexpr Rule kRules[] = {
    {"RotaryEmbedding", CategoryId::kRope},
    {"RoPE", CategoryId::kRope},
    {"PatchEmbed", CategoryId::kConv},  // a convolution whose stride is its kernel
    {"Embed", CategoryId::kEmbedding},
    {"Norm", CategoryId::kNorm},
    {"Softmax", CategoryId::kSoftmax},
    {"Softmin", CategoryId::kSoftmax},
    {"Attention", CategoryId::kAttention},
    {"Attn", CategoryId::kAttention},
    {"MoEGate", CategoryId::kGemm},  // scores of the experts: one product, as in the module tree
    {"Router", CategoryId::kRouting},
    {"TopK", CategoryId::kRouting},
    {"Upsampl", CategoryId::kInterpolate},
    {"Interpolat", CategoryId::kInterpolate},
    {"Unshuffle", CategoryId::kCopy},
    {"Shuffle", CategoryId::kCopy},
    {"Flatten", CategoryId::kCopy},
    {"Fold", CategoryId::kCopy},
    {"Unfold", CategoryId::kCopy},
    {"Pad", CategoryId::kCopy},
    {"Cache", CategoryId::kCopy},
    {"Conv", CategoryId::kConv},
    {"Pool", CategoryId::kReduction},
    {"LU", CategoryId::kActivation},  // GELU, ReLU, SiLU, GLU
    {"Activation", CategoryId::kActivation},
    {"Sigmoid", CategoryId::kActivation},
    {"Tanh", CategoryId::kActivation},
    {"Swish", CategoryId::kActivation},
    {"swish", CategoryId::kActivation},
    {"Mish", CategoryId::kActivation},
    {"Softplus", CategoryId::kActivation},
    {"MLP", CategoryId::kGemm},
    {"Mlp", CategoryId::kGemm},
    {"FeedForward", CategoryId::kGemm},
    {"FFN", CategoryId::kGemm},
    {"Expert", CategoryId::kGemm},
    {"MoE", CategoryId::kGemm},
    {"Linear", CategoryId::kGemm},
    {"LSTM", CategoryId::kGemm},
    {"GRU", CategoryId::kGemm},
    {"RNN", CategoryId::kGemm},
    {"LogitsProcessor", CategoryId::kSampling},
    {"Sampler", CategoryId::kSampling},
    {"Dropout", CategoryId::kElementwise},
    {"Identity", CategoryId::kElementwise},
    {"AllReduce", CategoryId::kCommunication},
    {"AllGather", CategoryId::kCommunication},
};

}  // namespace

std::optional<CategoryId> CategoryOfClassName(std::string_view class_name) {
  for (const Rule& rule : kRules) {
    if (class_name.find(rule.part) != std::string_view::npos) {
      return rule.category;
    }
  }
  return std::nullopt;
}

}  // namespace dsocr::catalog
