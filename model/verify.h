// Holds the model to a fixture: a directory of config.json, model.safetensors, image.png, inputs.safetensors and
// expected.safetensors as tests/golden/fixtures/README.md describes. Runs in fp32 on the CPU and compares every tensor
// of expected.safetensors.
#ifndef DSOCR_MODEL_VERIFY_H_
#define DSOCR_MODEL_VERIFY_H_

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace dsocr::model {

// Largest absolute difference allowed in fp32; a right implementation stays near 1e-5.
inline constexpr double kVerifyTolerance = 1e-4;

// The two ways to take a decode step: cut to its length, or as CUDA graphs replay it (static_decoder.h).
enum class DecodeMode { kEager, kStatic };

struct TensorCheck {
  std::string name;
  std::optional<double> max_abs_diff;  // absent where nothing was computed, shapes differ or a value is not finite
  double tolerance = kVerifyTolerance;
  bool exact = false;  // tokens, expert indices, image tensors: tolerance 0
  bool passed = false;
};

struct VerifyReport {
  bool passed = false;
  std::vector<TensorCheck> tensors;  // by name
  bool tokens_equal = true;          // every gen*.tokens
  bool experts_equal = true;         // every topk_idx, each row as a set
};

// Throws InputError for a missing or corrupt file. Sets and leaves no global state.
VerifyReport Verify(const std::filesystem::path& dir, DecodeMode mode = DecodeMode::kEager);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_VERIFY_H_
