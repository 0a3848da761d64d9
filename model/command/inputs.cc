#include "model/command/inputs.h"

#include "model/error.h"
#include "model/image/image.h"
#include "model/synthetic.h"
#include "model/text/prompt.h"

namespace dsocr::model {
namespace {

PreprocessConfig ViewsOf(const ModelConfig& config, const ServeWorkload& workload) {
  PreprocessConfig preprocess = config.preprocess;
  preprocess.base_size = workload.base_size;
  preprocess.image_size = workload.image_size;
  preprocess.crop_mode = workload.crop_mode;
  CheckConfig(preprocess);
  return preprocess;
}

Image PageOf(const ServeRequest& request) {
  const Size size{request.workload.page_width, request.workload.page_height};
  if (!request.image_path) return SyntheticPage(size);
  Image page = LoadImage(*request.image_path);
  if (page.width != size.width || page.height != size.height) {
    throw InputError(ErrorCode::kFailedPrecondition, "image '" + *request.image_path + "'",
                     "it is " + std::to_string(page.width) + "x" + std::to_string(page.height) +
                         ", the workload predicts a page of " + std::to_string(size.width) + "x" +
                         std::to_string(size.height),
                     "ask 'dsocr-runner inspect' for the size");
  }
  return page;
}

std::vector<int64_t> IdsOf(const ServeRequest& request, const ModelConfig& config, int image_tokens,
                           const std::optional<Tokenizer>& tokenizer) {
  const int64_t seq_len = request.workload.seq_len;
  if (!tokenizer) return SyntheticPrompt(config, image_tokens, seq_len);
  std::vector<int64_t> ids =
      PromptIds(*tokenizer, *request.prompt,
                {.bos_id = config.bos_token_id, .image_id = config.image_token_id, .image_count = image_tokens});
  if (static_cast<int64_t>(ids.size()) != seq_len) {
    throw InputError(ErrorCode::kFailedPrecondition, "prompt",
                     "it has " + std::to_string(ids.size()) + " tokens with the image, the workload predicts " +
                         std::to_string(seq_len),
                     "ask 'dsocr-runner inspect' for its length");
  }
  return ids;
}

}  // namespace

ModelConfig ConfigOf(const ServeRequest& request) {
  return request.model_dir ? LoadModelConfig(*request.model_dir) : ModelConfig();
}

Inputs MakeInputs(const ServeRequest& request, const ModelConfig& config) {
  const PreprocessConfig preprocess = ViewsOf(config, request.workload);
  Inputs inputs;
  if (request.prompt) inputs.tokenizer = Tokenizer::Load(*request.model_dir);
  const Image page = PageOf(request);
  inputs.layout = LayoutTokens({page.width, page.height}, preprocess);
  inputs.ids = IdsOf(request, config, inputs.layout.image_tokens(), inputs.tokenizer);
  inputs.views = MakeViews(page, preprocess);
  return inputs;
}

}  // namespace dsocr::model
