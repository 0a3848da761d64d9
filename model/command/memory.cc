#include "model/command/memory.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <iomanip>
#include <nlohmann/json.hpp>

#include "model/allocation_counter.h"
#include "model/command/exit_code.h"
#include "model/command/page_size.h"
#include "model/device.h"
#include "model/error.h"
#include "model/generate.h"
#include "model/image/image.h"
#include "model/image/preprocess.h"
#include "model/load.h"
#include "model/stage_memory.h"
#include "model/synthetic.h"

namespace dsocr::model {
namespace {

using Json = nlohmann::ordered_json;

struct MemoryReport {
  std::string dtype;
  int64_t seq_len = 0;
  int64_t max_new_tokens = 0;
  TokenLayout layout;
  int64_t weight_bytes = 0;
  int64_t kv_cache_bytes = 0;
  int64_t activation_bytes = 0;
  std::vector<StageMemory> stages;
};

Size PageOf(const MemoryOptions& options) {
  if (const std::optional<Size> page = ParsePageSize(options.page)) return *page;
  throw InputError(ErrorCode::kInvalidArgument, "page '" + options.page + "'",
                   "not WIDTHxHEIGHT in pixels, each from 1 to " + std::to_string(kMaxPageSide), "take 1240x1754");
}

MemoryReport Measure(const MemoryOptions& options) {
  const c10::InferenceMode inference;
  const at::ScalarType dtype = ParseDtype(options.dtype);
  const ModelConfig config = options.model_dir ? LoadModelConfig(*options.model_dir) : ModelConfig();
  PreprocessConfig preprocess = config.preprocess;
  preprocess.base_size = options.base_size.value_or(preprocess.base_size);
  preprocess.image_size = options.image_size.value_or(preprocess.image_size);
  preprocess.crop_mode = options.crop_mode.value_or(preprocess.crop_mode);
  CheckConfig(preprocess);
  const Size page = PageOf(options);

  MemoryReport report = {.dtype = options.dtype,
                         .seq_len = options.seq_len,
                         .max_new_tokens = options.max_new_tokens,
                         .layout = LayoutTokens(page, preprocess)};
  std::vector<int64_t> ids = SyntheticPrompt(config, report.layout.image_tokens(), options.seq_len);
  const Views views = MakeViews(SyntheticPage(page), preprocess);
  const LoadedModel loaded = LoadModel(config, options.model_dir, /*seed=*/0, dtype, at::kCPU);
  report.weight_bytes = loaded.weight_bytes;

  AllocationCounter& counter = AllocationCounter::Install();
  KvCache cache = loaded.model->MakeCache(options.seq_len + options.max_new_tokens - 1);
  report.kv_cache_bytes = cache.size_bytes();
  const Request request = loaded.model->Prepare(views, std::move(ids));
  StageMemoryRecorder recorder(counter);
  Generator(*loaded.model).Run(request, cache, {.max_new_tokens = options.max_new_tokens});
  report.activation_bytes = recorder.request_bytes();
  report.stages = recorder.stages();
  return report;
}

Json ToJson(const MemoryReport& report) {
  Json stages = Json::array();
  for (const StageMemory& stage : report.stages) {
    Json scratch = Json::array();
    for (const auto& [name, bytes] : stage.scratch_bytes) scratch.push_back({{"operator", name}, {"bytes", bytes}});
    stages.push_back({{"stage", stage.name},
                      {"module_id", stage.module_id},
                      {"peak_activation_bytes", stage.activation_bytes},
                      {"peak_range", stage.peak_range},
                      {"excluded_scratch", std::move(scratch)}});
  }
  return {{"dtype", report.dtype},
          {"seq_len", report.seq_len},
          {"max_new_tokens", report.max_new_tokens},
          {"image_tokens", report.layout.image_tokens()},
          {"crop_grid", {report.layout.crops_wide, report.layout.crops_high}},
          {"weight_bytes", report.weight_bytes},
          {"kv_cache_bytes", report.kv_cache_bytes},
          {"peak_activation_bytes", report.activation_bytes},
          {"stages", std::move(stages)}};
}

void PrintTable(const MemoryReport& report, std::ostream& out) {
  constexpr double kMega = 1e6;
  const auto row = [&out](const std::string& name, int64_t bytes, const std::string& note) {
    out << std::left << std::setw(12) << name << std::right << std::setw(12) << std::fixed << std::setprecision(3)
        << static_cast<double>(bytes) / kMega << " MB" << (note.empty() ? "" : "  " + note) << '\n';
  };
  row("weights", report.weight_bytes, report.dtype);
  row("kv_cache", report.kv_cache_bytes, std::to_string(report.seq_len + report.max_new_tokens - 1) + " positions");
  row("activations", report.activation_bytes, "at the worst moment of the request");
  for (const StageMemory& stage : report.stages) {
    row("  " + stage.name, stage.activation_bytes, stage.peak_range);
    for (const auto& [name, bytes] : stage.scratch_bytes) row("", bytes, "excluded: inside " + name);
  }
}

}  // namespace

int RunMemory(const MemoryOptions& options, std::ostream& out) {
  const MemoryReport report = Measure(options);
  if (options.format == MemoryFormat::kJson) {
    out << ToJson(report).dump(2) << '\n';
  } else {
    PrintTable(report, out);
  }
  out << std::flush;
  return out ? kExitDone : kExitFailed;
}

}  // namespace dsocr::model
