#include "daemon/run/inquiry.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/time/time.h"
#include "base/status.h"
#include "daemon/catalog/models.h"
#include "daemon/catalog/workload_file.h"
#include "daemon/run/runner.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace dsocr::run {
namespace {

using Json = nlohmann::ordered_json;

// Loading LibTorch from a cold disk takes most of it; the answers themselves take less than a second.
constexpr absl::Duration kLimit = absl::Seconds(60);

struct Inspection {
  int64_t page_width = 0;
  int64_t page_height = 0;
  std::optional<int64_t> text_tokens;
};

absl::StatusOr<Inspection> ParseInspection(const std::string& text) {
  constexpr int64_t kMaxSide = 1'000'000;
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto count_of = [&](const char* key) -> std::optional<int64_t> {
    const bool is_there = json.is_object() && json.contains(key) && json[key].is_number_integer();
    const double value = is_there ? json[key].get<double>() : -1;
    return value >= 0 && value <= kMaxSide ? std::optional(json[key].get<int64_t>()) : std::nullopt;
  };
  const std::optional<int64_t> width = count_of("page_width");
  const std::optional<int64_t> height = count_of("page_height");
  if (!width || !height) {
    return absl::InternalError("dsocr-runner inspect: it printed no page size; is it of this version?");
  }
  return Inspection{*width, *height, count_of("text_tokens")};
}

const std::string& ModelDirOf(const Plan& plan) { return plan.input.provenance.weights().path(); }

absl::Status CheckRunnerHas(const analytic::ModelSpec& model) {
  return catalog::IsExecutable(model)
             ? absl::OkStatus()
             : absl::FailedPreconditionError(
                   fmt::format("dsocr-runner has {} alone, not {}", analytic::ModelSpec().variant, model.variant));
}

// A new directory for what a process writes; it goes with the object.
class TemporaryDirectory {
 public:
  static absl::StatusOr<TemporaryDirectory> Make() {
    std::error_code error;
    std::string path = (std::filesystem::temp_directory_path(error) / "dsocr-XXXXXX").string();
    if (error || ::mkdtemp(path.data()) == nullptr) {
      return absl::ErrnoToStatus(error ? error.value() : errno,
                                 fmt::format("temporary directory '{}': cannot be made; set TMPDIR", path));
    }
    return TemporaryDirectory(std::move(path));
  }
  TemporaryDirectory(TemporaryDirectory&& other) noexcept : path_(std::exchange(other.path_, "")) {}
  TemporaryDirectory& operator=(TemporaryDirectory&&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    if (!path_.empty()) {
      std::filesystem::remove_all(path_, ignored);
    }
  }

  const std::string& path() const { return path_; }

 private:
  explicit TemporaryDirectory(std::string path) : path_(std::move(path)) {}

  std::string path_;  // "": moved from
};

}  // namespace

nlohmann::ordered_json WorkloadJson(const analytic::Workload& workload) {
  return {{"base_size", workload.base_size},          {"image_size", workload.image_size},
          {"crop_mode", workload.crop_mode},          {"page_width", workload.page_width},
          {"page_height", workload.page_height},      {"seq_len", workload.seq_len},
          {"max_new_tokens", workload.max_new_tokens}};
}

absl::Status ApplyImage(const std::string& runner, const PageSource& source,
                        const v1::DeepSeekOCRAnalyticRequest& request, const StopSource& stop, Plan* plan) {
  if (!source.image_path) {
    return absl::OkStatus();
  }
  Command command{.arguments = {runner, "inspect", "--image", *source.image_path, "-o", "json"}, .environment = {}};
  if (!request.model_dir().empty()) {
    command.arguments.insert(command.arguments.end(), {"--model", request.model_dir()});
  }
  if (source.prompt) {
    command.arguments.insert(command.arguments.end(), {"--prompt", *source.prompt});
  }
  DSOCR_ASSIGN_OR_RETURN(const std::string answer, Ask(command, kLimit, stop));
  DSOCR_ASSIGN_OR_RETURN(const Inspection inspection, ParseInspection(answer));

  // Text tokens stay those of the profile where no tokenizer counts them.
  const analytic::Workload& before = plan->input.workload;
  const int64_t text_tokens =
      inspection.text_tokens.value_or(before.seq_len - analytic::LayOutImage(plan->input.model, before).image_tokens());
  v1::WorkloadOverrides overrides = request.workload();
  overrides.set_page_width(inspection.page_width);
  overrides.set_page_height(inspection.page_height);
  const std::string profile = ProfileOrDefault(request.workload_profile_id());
  if (!overrides.has_seq_len() || inspection.text_tokens) {
    DSOCR_ASSIGN_OR_RETURN(const v1::WorkloadDescription layout,
                           catalog::DescribeWorkload(plan->input.model, profile, overrides));
    overrides.set_seq_len(layout.image_tokens() + text_tokens);
  }
  DSOCR_ASSIGN_OR_RETURN(plan->input.workload,
                         catalog::ResolveWorkload(plan->input.model, profile, overrides, request.dtype()));
  return absl::OkStatus();
}

absl::StatusOr<std::string> TraceModel(const std::string& runner, const Plan& plan, const PageSource& source,
                                       std::optional<int64_t> context, const StopSource& stop) {
  DSOCR_RETURN_IF_ERROR(CheckRunnerHas(plan.input.model));
  const analytic::Workload& workload = plan.input.workload;
  const Json request = {{"model_dir", ModelDirOf(plan).empty() ? Json(nullptr) : Json(ModelDirOf(plan))},
                        {"workload", WorkloadJson(workload)},
                        {"image_path", source.image_path ? Json(*source.image_path) : Json(nullptr)},
                        {"prompt", source.prompt ? Json(*source.prompt) : Json(nullptr)},
                        {"context", context.value_or(workload.seq_len)}};
  const Command command{.arguments = {runner, "analyze"}, .environment = {}};
  return Ask(command, kLimit, stop, request.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace));
}

absl::StatusOr<catalog::ArtifactTexts> MakeTorchInfo(const std::string& runner, const Plan& plan,
                                                     const std::vector<std::string>& names, const StopSource& stop) {
  DSOCR_RETURN_IF_ERROR(CheckRunnerHas(plan.input.model));
  DSOCR_ASSIGN_OR_RETURN(const TemporaryDirectory directory, TemporaryDirectory::Make());
  const analytic::Workload& workload = plan.input.workload;
  Command command{
      .arguments = {runner, "torchinfo", "--out", directory.path(), "--base-size", fmt::to_string(workload.base_size),
                    "--image-size", fmt::to_string(workload.image_size), "--crop-mode", workload.crop_mode ? "1" : "0",
                    "--page", fmt::format("{}x{}", workload.page_width, workload.page_height), "--seq-len",
                    fmt::to_string(workload.seq_len)},
      .environment = {}};
  if (!ModelDirOf(plan).empty()) {
    command.arguments.insert(command.arguments.end(), {"--model", ModelDirOf(plan)});
  }
  DSOCR_RETURN_IF_ERROR(Ask(command, kLimit, stop).status());
  return catalog::ReadArtifacts(directory.path(), names);
}

}  // namespace dsocr::run
