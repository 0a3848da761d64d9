// One call from a directory, or from nothing, to a model that is ready.
#ifndef DSOCR_MODEL_LOAD_H_
#define DSOCR_MODEL_LOAD_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>

#include "model/deepseek_ocr.h"

namespace dsocr::model {

struct LoadedModel {
  std::unique_ptr<DeepseekOcr> model;
  int64_t parameters = 0;
  int64_t weight_bytes = 0;
};

// From `config` and the weights in `dir`, or with random weights from `seed` where there is no directory. Throws
// InputError.
LoadedModel LoadModel(const ModelConfig& config, const std::optional<std::filesystem::path>& dir, uint64_t seed,
                      at::ScalarType dtype, at::Device device);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_LOAD_H_
