// `dsocr-runner ocr`: the text of a page.
#ifndef DSOCR_MODEL_COMMAND_OCR_H_
#define DSOCR_MODEL_COMMAND_OCR_H_

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>

namespace dsocr::model {

struct OcrOptions {
  std::string model_dir;
  std::string image_path;
  std::string prompt = "<image>\nFree OCR.";
  std::string device = "cpu";
  std::string dtype = "bf16";
  int64_t max_new_tokens = 8192;
  std::optional<int> base_size;  // the model's own where absent
  std::optional<int> image_size;
  std::optional<bool> crop_mode;
};

// Writes the text and a newline to `out`; returns the exit code. Throws InputError.
int RunOcr(const OcrOptions& options, std::ostream& out);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_COMMAND_OCR_H_
