// The request of `dsocr-runner serve` and `analyze`, as docs/runner-protocol.md has it.
#ifndef DSOCR_MODEL_COMMAND_SERVE_REQUEST_H_
#define DSOCR_MODEL_COMMAND_SERVE_REQUEST_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace dsocr::model {

struct ServeWorkload {
  int base_size = 1024;
  int image_size = 640;
  bool crop_mode = true;
  int page_width = 600;  // pixels
  int page_height = 600;
  int64_t seq_len = 512;  // prompt tokens, image tokens included
  int64_t max_new_tokens = 64;
};

struct ServeRequest {
  std::optional<std::string> model_dir;  // absent: the published configuration with random weights
  bool random_weights = false;           // of model_dir the configuration alone is read
  int64_t random_seed = 0;
  std::string device = "cpu";
  std::string dtype = "bf16";
  ServeWorkload workload;
  std::optional<std::string> image_path;  // absent: a synthetic page
  std::optional<std::string> prompt;      // absent: synthetic text ids
  int warmup = 1;
  int repeats = 1;
  bool cuda_graphs = false;  // decode steps through CUDA graphs; on cuda:N alone
  int64_t context = 512;     // of analyze: tokens in the cache at the decode step; absent: seq_len
};

// Throws InputError naming the field: malformed JSON, a wrong type, a value out of range, a prompt without a model to
// tokenise it, or cuda_graphs on a device that has none.
ServeRequest ParseServeRequest(std::string_view json);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_COMMAND_SERVE_REQUEST_H_
