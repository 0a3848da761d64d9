#include "daemon/attach/model_call.h"

#include <string>

namespace dsocr::attach {
namespace {

constexpr std::string_view kRootTarget = "deepseek_ocr";
constexpr std::string_view kEmbedTokens = "{phase}/embed_tokens";

// Shapes beyond these are none that the model could be called with.
constexpr uint32_t kMaxTokens = 1 << 20;
constexpr uint32_t kMaxBatch = 1 << 16;

}  // namespace

CallKind KindOf(std::string_view target) {
  CallKind kind;
  kind.is_root = target == kRootTarget;
  kind.is_model = kind.is_root || target == kPhase;
  kind.has_phase = kind.is_root || target.find(kPhase) != std::string_view::npos;
  kind.has_token_ids = kind.is_root || target == kPhase || target == kEmbedTokens;
  kind.has_pixels = target == "vision" || target == "vision/sam";
  return kind;
}

std::optional<PassTokens> TokensOf(const record::CallShape& told, const CallKind& kind) {
  if (told.rank == 0 || told.rank > 4) {
    return std::nullopt;
  }
  const bool is_flat = told.rank == 1 || (told.rank == 2 && !kind.has_token_ids);  // the tokens of all sequences
  const uint32_t batch = is_flat ? 1 : told.shape[0];
  const uint32_t tokens = is_flat ? told.shape[0] : told.shape[1];
  if (batch < 1 || batch > kMaxBatch || tokens < 1 || tokens > kMaxTokens) {
    return std::nullopt;
  }
  return PassTokens{.batch = batch, .tokens = tokens};
}

}  // namespace dsocr::attach
