#include "model/command/inspect.h"

#include <nlohmann/json.hpp>

#include "model/command/exit_code.h"
#include "model/config.h"
#include "model/error.h"
#include "model/image/image.h"
#include "model/text/prompt.h"

namespace dsocr::model {

int RunInspect(const std::string& image_path, const std::optional<std::string>& model_dir,
               const std::optional<std::string>& prompt, std::ostream& out) {
  if (prompt && !model_dir) {
    throw InputError(ErrorCode::kInvalidArgument, "prompt", "no model whose tokenizer can read it", "add --model DIR");
  }
  const Size page = ImageSize(image_path);
  nlohmann::ordered_json result = {{"page_width", page.width}, {"page_height", page.height}, {"text_tokens", nullptr}};
  if (prompt) {
    const ModelConfig config = LoadModelConfig(*model_dir);
    const PromptTokens tokens{.bos_id = config.bos_token_id, .image_id = config.image_token_id, .image_count = 0};
    result["text_tokens"] = PromptIds(Tokenizer::Load(*model_dir), *prompt, tokens).size();
  }
  out << result.dump() << '\n' << std::flush;
  return out ? kExitDone : kExitFailed;
}

}  // namespace dsocr::model
