// A model's config.json, as Hugging Face repositories carry it, to and from the sizes that decide cost.
//
// `architectures`, or the encoder `qwen2-0-5b`, says which of the published models it describes; model_type is the same
// for all. Keys are those of the published file, plus `encoder_dims` and `preprocess` (sizes that the published code
// hard-codes; the fixtures carry them). An absent or null key keeps the published value; keys of other models and of
// training are not looked at, nor is `downsample_channels` outside encoder_dims: that of DeepSeek-OCR-2's file is
// wrong.
//
// Pure functions but for LoadModel; safe from any thread.
#ifndef DSOCR_DAEMON_CATALOG_MODEL_CONFIG_H_
#define DSOCR_DAEMON_CATALOG_MODEL_CONFIG_H_

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "analytic/model_spec.h"

namespace dsocr::catalog {

// INVALID_ARGUMENT, naming path and value ("encoder_dims.sam.width = -1"), for text that is no JSON object or over 1
// MiB, for a wrong type, a size out of its range, and sizes that do not fit together (heads that do not divide the
// width, …).
absl::StatusOr<analytic::ModelSpec> ParseModelConfig(std::string_view json_text);

// The config.json that describes `spec`, as share/dsocr of an installation holds it; ParseModelConfig gives an equal
// spec back. Ends in a newline.
std::string ModelConfigJson(const analytic::ModelSpec& spec);

struct LoadedModel {
  analytic::ModelSpec spec;
  std::string config_path;                 // absolute
  std::optional<std::string> hf_revision;  // of a hub snapshot: .../snapshots/<40 hex digits>
};

// Reads `model_dir`/config.json. `model_dir`: absolute. NOT_FOUND without such a file, PERMISSION_DENIED where it
// cannot be read, INVALID_ARGUMENT for what is in it or beyond 1 MiB.
absl::StatusOr<LoadedModel> LoadModel(const std::string& model_dir);

}  // namespace dsocr::catalog

#endif  // DSOCR_DAEMON_CATALOG_MODEL_CONFIG_H_
