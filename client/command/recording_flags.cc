#include "client/command/recording_flags.h"

#include <string>

#include "absl/strings/numbers.h"
#include "client/command/request.h"
#include "fmt/format.h"

namespace dsocr::client {
namespace {

constexpr std::string_view kName = "--overhead-budget";
constexpr double kLargest = 0.5;  // beyond it a job is not what it was
constexpr size_t kMaxModuleMapBytes = 256 << 10;

}  // namespace

Flag OverheadBudgetFlag() {
  return {kName, ValueKind::kText, "PCT",
          "record whole requests at random, at most this share of the job's time: 1% or 0.01"};
}

absl::StatusOr<double> OverheadBudget(const CommandLine& line) {
  if (!line.Has(kName)) {
    return 0.0;
  }
  const std::string text = line.Text(kName);
  const bool is_percentage = text.ends_with('%');
  double share = 0;
  const bool is_number = absl::SimpleAtod(is_percentage ? text.substr(0, text.size() - 1) : text, &share);
  share = is_percentage ? share / 100 : share;
  if (!is_number || !(share > 0 && share <= kLargest)) {
    return absl::InvalidArgumentError(
        fmt::format("{} '{}': not a share of the job's time above 0 and at most 50 %; give a percentage such as 1%, or "
                    "a share such as 0.01",
                    kName, text));
  }
  return share;
}

Flag DepthFlag() {
  return {"--depth",
          ValueKind::kChoice,
          "DEPTH",
          "modules of a Python job: stages (default: of our stages, or the root's children) or all",
          {"stages", "all"}};
}

v1::Depth Depth(const CommandLine& line) { return line.Text("--depth") == "all" ? v1::DEPTH_ALL : v1::DEPTH_STAGES; }

Flag ModuleMapFlag() {
  return {"--module-map", ValueKind::kPath, "FILE",
          "which of a job's modules stand for which of ours (docs/attach.md)"};
}

absl::StatusOr<std::string> ModuleMap(const CommandLine& line, const Io& io) {
  if (!line.Has("--module-map")) {
    return "";
  }
  return ReadFile("--module-map", AbsolutePath(io, line.Text("--module-map")), kMaxModuleMapBytes);
}

}  // namespace dsocr::client
