#include "model/command/ocr.h"

#include <c10/core/InferenceMode.h>

#include "model/command/exit_code.h"
#include "model/device.h"
#include "model/generate.h"
#include "model/image/image.h"
#include "model/image/preprocess.h"
#include "model/load.h"
#include "model/output_text.h"
#include "model/text/prompt.h"

namespace dsocr::model {

int RunOcr(const OcrOptions& options, std::ostream& out) {
  const c10::InferenceMode inference;
  const at::Device device = OpenDevice(options.device);
  const at::ScalarType dtype = ParseDtype(options.dtype);
  const ModelConfig config = LoadModelConfig(options.model_dir);
  PreprocessConfig preprocess = config.preprocess;
  preprocess.base_size = options.base_size.value_or(preprocess.base_size);
  preprocess.image_size = options.image_size.value_or(preprocess.image_size);
  preprocess.crop_mode = options.crop_mode.value_or(preprocess.crop_mode);
  CheckConfig(preprocess);

  const Tokenizer tokenizer = Tokenizer::Load(options.model_dir);
  const Image page = LoadImage(options.image_path);
  std::vector<int64_t> ids = PromptIds(tokenizer, options.prompt,
                                       {.bos_id = config.bos_token_id,
                                        .image_id = config.image_token_id,
                                        .image_count = ImageTokens({page.width, page.height}, preprocess)});
  const Views views = MakeViews(page, preprocess);
  const LoadedModel loaded = LoadModel(config, options.model_dir, /*seed=*/0, dtype, device);
  const Request request = loaded.model->Prepare(views, std::move(ids));
  KvCache cache = loaded.model->MakeCache(static_cast<int64_t>(request.ids.size()) + options.max_new_tokens);
  const std::vector<int64_t> tokens =
      Generator(*loaded.model).Run(request, cache, {.max_new_tokens = options.max_new_tokens, .stop_at_eos = true});
  out << OutputText(tokenizer, tokens, config.eos_token_id) << '\n' << std::flush;
  return out ? kExitDone : kExitFailed;
}

}  // namespace dsocr::model
