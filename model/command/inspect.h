// `dsocr-runner inspect`: what an image and a prompt come to, without weights.
#ifndef DSOCR_MODEL_COMMAND_INSPECT_H_
#define DSOCR_MODEL_COMMAND_INSPECT_H_

#include <optional>
#include <ostream>
#include <string>

namespace dsocr::model {

// Writes {"page_width", "page_height", "text_tokens"}, the page after EXIF rotation, the tokens of the prompt without
// the image and with bos, null without a prompt. Returns the exit code. Throws InputError; a prompt needs a model
// directory with tokenizer.json.
int RunInspect(const std::string& image_path, const std::optional<std::string>& model_dir,
               const std::optional<std::string>& prompt, std::ostream& out);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_COMMAND_INSPECT_H_
