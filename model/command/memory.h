// `dsocr-runner memory`: what one request holds in memory, stage by stage, counted.
#ifndef DSOCR_MODEL_COMMAND_MEMORY_H_
#define DSOCR_MODEL_COMMAND_MEMORY_H_

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>

namespace dsocr::model {

enum class MemoryFormat { kTable, kJson };

struct MemoryOptions {
  std::optional<std::string> model_dir;  // absent: the published configuration, random weights
  std::string dtype = "bf16";
  std::optional<int> base_size;  // the model's own where absent
  std::optional<int> image_size;
  std::optional<bool> crop_mode;
  std::string page = "600x600";  // pixels of the synthetic page
  int64_t seq_len = 512;
  int64_t max_new_tokens = 64;
  MemoryFormat format = MemoryFormat::kTable;
};

// Runs one request over a synthetic page and prompt on the CPU and writes the report to `out`; returns the exit code.
// Throws InputError.
int RunMemory(const MemoryOptions& options, std::ostream& out);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_COMMAND_MEMORY_H_
