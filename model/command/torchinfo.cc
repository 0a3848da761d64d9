#include "model/command/torchinfo.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "model/command/exit_code.h"
#include "model/command/inputs.h"
#include "model/error.h"
#include "model/trace/module_list.h"
#include "model/trace/shape_recorder.h"
#include "model/trace/trace.h"

namespace dsocr::model {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kDepth = 4;  // of the summary: down to the projections' parents
constexpr char kNonPyTorch[] = "Non\u2011PyTorch Modules";
constexpr char kBuiltins[] = "PyTorch Builtins";

std::string Now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc = {};
  ::gmtime_r(&now, &utc);
  std::array<char, 32> text = {};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text.data();
}

void WriteFile(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text << std::flush;
  if (!file) {
    throw InputError(ErrorCode::kInvalidArgument, "file '" + path.string() + "'", "it cannot be written",
                     "choose another --out");
  }
}

int64_t FlopsBelow(const FlopCounts& counts, const std::string& range) {
  int64_t flops = 0;
  for (const auto& [id, range_flops] : counts) {
    if (id.starts_with(range) && (id.size() == range.size() || id[range.size()] == '/')) flops += range_flops.total();
  }
  return flops;
}

// A trace that fails here has nothing to degrade to.
const FlopCounts& CountsOf(const StageTrace& trace) {
  if (!trace.error.empty()) throw InputError(ErrorCode::kInternal, "trace", trace.error, "report it with the request");
  return trace.counts;
}

struct StageFigures {
  const char* name;
  int64_t parameters = 0;
  int64_t macs = 0;
};

std::string Grouped(int64_t count) {
  std::string text = std::to_string(count);
  for (int at = static_cast<int>(text.size()) - 3; at > 0; at -= 3) text.insert(static_cast<size_t>(at), 1, ',');
  return text;
}

std::string Text(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t size : shape) text += (text.empty() ? "[" : ", ") + std::to_string(size);
  return text.empty() ? "--" : text + "]";
}

// All that is known of the model and one request.
class TorchInfo {
 public:
  explicit TorchInfo(const ServeRequest& request)
      : request_(request), config_(ConfigOf(request)), modules_(ListModules(config_)) {
    const std::unique_ptr<DeepseekOcr> model = MakeMetaModel(config_);
    Inputs inputs = MakeInputs(request, config_);
    const Request prepared = model->Prepare(inputs.views, std::move(inputs.ids));
    trace_ = TraceModel(*model, prepared, request.context);
    const ShapeRecorder recorder;
    RunRequest(*model, prepared, request.context);
    shapes_ = recorder.calls();

    for (const PublishedModule& module : modules_) {
      macs_.push_back(FlopsBelow(CountsOf(trace_.extracted), module.range) / 2);
    }
    for (size_t i = modules_.size(); i-- > 1;) {  // what has no range of its own is the sum of what is below
      const auto parent = static_cast<size_t>(modules_[i].parent);
      if (modules_[parent].range.empty()) macs_[parent] += macs_[i];
    }
  }

  std::string UniqueLayersJson() const {
    Json layers = Json::array();
    for (const auto& [qualified, of_class] : Classes()) {
      std::set<std::string> names, paths, parents, children;
      for (const size_t i : of_class) {
        names.insert(i == 0 ? modules_[0].class_name() : modules_[i].name());
        paths.insert(modules_[i].path);
        for (int up = modules_[i].parent; up >= 0; up = modules_[static_cast<size_t>(up)].parent) {
          parents.insert(modules_[static_cast<size_t>(up)].qualified_class);
        }
        AddDescendants(i, children);
      }
      layers.push_back({{"class_name_qualified", qualified},
                        {"class_name", modules_[of_class.front()].class_name()},
                        {"var_name", names},
                        {"instance_name", paths},
                        {"filepaths", {SourceFileOf(qualified)}},
                        {"is_torch_builtin", modules_[of_class.front()].is_builtin()},
                        {"count", of_class.size()},
                        {"parents", parents},
                        {"children", children}});
    }
    Json document = Header();
    document["num_unique_layers"] = layers.size();
    document["layers"] = std::move(layers);
    return document.dump(2) + "\n";
  }

  std::string UniqueLayersMarkdown() const {
    std::string text = "# TorchInfo Unique Layers\n";
    for (const bool is_builtin : {false, true}) {
      text += std::string("\n## ") + (is_builtin ? kBuiltins : kNonPyTorch) + "\n";
      for (const auto& [qualified, of_class] : Classes()) {
        const PublishedModule& module = modules_[of_class.front()];
        if (module.is_builtin() != is_builtin) continue;
        std::set<std::string> children;
        for (const size_t i : of_class) AddDescendants(i, children);
        text += "\n### " + module.class_name() + "\n\n**class_name**: " + module.class_name() +
                "\n\n**class_name_qualified**: " + qualified + "\n\n**filepaths**:\n- " + SourceFileOf(qualified) +
                "\n\n**children**:";
        for (const std::string& child : children) text += "\n- " + child;
        text += children.empty() ? " (none)\n" : "\n";
      }
    }
    return text;
  }

  std::string StagesJson() const {
    Json stages = Json::object();
    for (const StageFigures& stage : Stages()) {
      stages[stage.name] = {{"stage_name", stage.name}, {"params", stage.parameters}, {"macs", stage.macs}};
    }
    Json document = Header();
    document["stages"] = std::move(stages);
    return document.dump(2) + "\n";
  }

  std::string Summary() const {
    std::vector<std::array<std::string, 6>> rows = {
        {"Layer (type (var_name):depth-idx)", "Input Shape", "Output Shape", "Param #", "Kernel Shape", "Mult-Adds"}};
    std::map<int, int> index_at_depth;
    for (size_t i = 0; i < modules_.size(); ++i) {
      const PublishedModule& module = modules_[i];
      if (module.depth > kDepth) continue;
      std::string name;
      for (int level = 1; level < module.depth; ++level) name += "│    ";
      name += (module.depth > 0 ? "├─" : "") + module.class_name() + " (" +
              (i == 0 ? module.class_name() : module.name()) + ")";
      if (module.depth > 0) {
        name += ": " + std::to_string(module.depth) + "-" + std::to_string(++index_at_depth[module.depth]);
      }
      // Below the summary's depth a module stands for all that is in it.
      const int64_t parameters = module.depth == kDepth ? module.parameters : module.own_parameters;
      rows.push_back({name, Shapes(module, &CallShapes::input), Shapes(module, &CallShapes::output),
                      parameters > 0 ? Grouped(parameters) : "--", Text(module.kernel),
                      macs_[i] > 0 ? Grouped(macs_[i]) : "--"});
    }
    return Table(rows) + "Total params: " + Grouped(modules_[0].parameters) +
           "\nTotal mult-adds of prefill: " + Grouped(macs_[0]) +
           "\nTotal mult-adds of one decode step: " + Grouped(Stages().back().macs) +
           "\nParams size in bf16 (bytes): " + Grouped(2 * modules_[0].parameters) + "\n";
  }

 private:
  Json Header() const {
    int64_t macs = 0;
    for (const StageFigures& stage : Stages()) macs += stage.macs;
    const ServeWorkload& workload = request_.workload;
    return {{"generated_at", Now()},
            {"model_path", request_.model_dir.value_or("deepseek-ai/DeepSeek-OCR")},
            {"device", "meta"},
            {"base_size", workload.base_size},
            {"image_size", workload.image_size},
            {"seq_len", workload.seq_len},
            {"crop_mode", workload.crop_mode},
            {"depth", kDepth},
            {"total_params", modules_[0].parameters},
            {"total_macs", macs}};
  }

  // By qualified name: the modules of each class.
  std::map<std::string, std::vector<size_t>> Classes() const {
    std::map<std::string, std::vector<size_t>> classes;
    for (size_t i = 0; i < modules_.size(); ++i) classes[modules_[i].qualified_class].push_back(i);
    return classes;
  }

  void AddDescendants(size_t module, std::set<std::string>& classes) const {
    for (size_t i = module + 1; i < modules_.size() && modules_[i].depth > modules_[module].depth; ++i) {
      classes.insert(modules_[i].qualified_class);
    }
  }

  // The source's stage map: the newline and separator rows belong to none, the lm_head to decode.
  std::vector<StageFigures> Stages() const {
    std::vector<StageFigures> stages;
    for (const auto& [name, traced] : trace_.isolated) {
      stages.push_back({.name = name.c_str(), .macs = FlopsOf(CountsOf(traced)) / 2});
      for (const PublishedModule& module : modules_) {
        if (StageOf(module) == name) stages.back().parameters += module.own_parameters;
      }
    }
    return stages;
  }

  static int64_t FlopsOf(const FlopCounts& counts) {
    int64_t flops = 0;
    for (const auto& [range, range_flops] : counts) flops += range_flops.total();
    return flops;
  }

  static std::string StageOf(const PublishedModule& module) {
    const auto is_below = [&](const std::string& path) { return module.path.starts_with(path); };
    if (is_below("model.sam_model")) return "sam";
    if (is_below("model.vision_model")) return "clip";
    if (is_below("model.projector")) return "projector";
    return is_below("lm_head") ? "decode" : is_below("model.") ? "prefill" : "";
  }

  std::string Shapes(const PublishedModule& module, Shape CallShapes::*side) const {
    std::string text;
    const auto found = shapes_.find(module.range);
    if (module.range.empty() || found == shapes_.end()) return "--";
    for (const CallShapes& call : found->second) text += (text.empty() ? "" : ", ") + Text(call.*side);
    return text;
  }

  static size_t WidthOf(const std::string& text) {  // characters, of UTF-8
    return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
  }

  static std::string Table(const std::vector<std::array<std::string, 6>>& rows) {
    std::array<size_t, 6> widths = {};
    for (const auto& row : rows) {
      for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], WidthOf(row[i]) + 2);
    }
    size_t total = 0;
    for (const size_t width : widths) total += width;
    const std::string line(total, '=');
    std::string text = line + "\n";
    for (const auto& row : rows) {
      for (size_t i = 0; i < row.size(); ++i) text += row[i] + std::string(widths[i] - WidthOf(row[i]), ' ');
      text.erase(text.find_last_not_of(' ') + 1);
      text += "\n";
      if (&row == &rows.front()) text += line + "\n";
    }
    return text + line + "\n";
  }

  const ServeRequest& request_;
  const ModelConfig config_;
  const std::vector<PublishedModule> modules_;
  ModelTrace trace_;
  std::map<std::string, std::vector<CallShapes>> shapes_;
  std::vector<int64_t> macs_;  // of each module, over prefill's pass
};

}  // namespace

int RunTorchInfo(const TorchInfoOptions& options) {
  const c10::InferenceMode inference;
  const TorchInfo info(options.request);
  const std::filesystem::path dir = options.out_dir;
  std::error_code error;
  std::filesystem::create_directories(dir, error);
  if (error) {
    throw InputError(ErrorCode::kInvalidArgument, "directory '" + dir.string() + "'", error.message(),
                     "choose another --out");
  }
  WriteFile(dir / "torchinfo-unique-layers.json", info.UniqueLayersJson());
  WriteFile(dir / "torchinfo-unique-layers.md", info.UniqueLayersMarkdown());
  WriteFile(dir / "torchinfo-stages.json", info.StagesJson());
  WriteFile(dir / "torchinfo-summary.txt", info.Summary());
  return kExitDone;
}

}  // namespace dsocr::model
