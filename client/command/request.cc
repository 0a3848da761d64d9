#include "client/command/request.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "base/status.h"
#include "base/unique_fd.h"
#include "fmt/format.h"
#include "proto/document.h"

namespace dsocr::client {
namespace {

constexpr char kDefaultProfile[] = "dsocr-standard-v1";
constexpr size_t kMaxWorkloadFileBytes = 1 << 20;  // a profile is a page of text

std::string AbsoluteFlag(const CommandLine& line, const Io& io, std::string_view flag) {
  return line.Has(flag) ? AbsolutePath(io, line.Text(flag)) : "";
}

// An id or none as it is, a file as an absolute path.
std::string CalibrationOf(const CommandLine& line, const Io& io) {
  const std::string value = line.Text("--calibration");
  return NamesFile(io, value) ? AbsolutePath(io, value) : value;
}

}  // namespace

Flag ArtifactsDirFlag() {
  return {"--artifacts-dir", ValueKind::kPath, "DIR",
          "root of artifacts (default DSOCR_ARTIFACTS_DIR, else tmp/profile-output)"};
}

std::string ArtifactsRoot(const CommandLine& line, const Io& io) {
  return AbsolutePath(io, line.Has("--artifacts-dir") ? line.Text("--artifacts-dir")
                                                      : io.Env("DSOCR_ARTIFACTS_DIR").value_or("tmp/profile-output"));
}

std::vector<Flag> WorkloadFlags() {
  return {
      {"--page", ValueKind::kPage, "WxH", "page in pixels, such as 1240x1754 (default: the profile's)"},
      {"--base-size", ValueKind::kInteger, "PIXELS", "side of the global view (default: the profile's)"},
      {"--image-size", ValueKind::kInteger, "PIXELS", "side of a crop, or of the single view (default: the profile's)"},
      {"--crop-mode", ValueKind::kChoice, "0|1", "cut the page into crops (default: the profile's)", {"0", "1"}},
      {"--seq-len", ValueKind::kInteger, "TOKENS", "prompt, image tokens included (default: the profile's)"},
      {"--max-new-tokens", ValueKind::kInteger, "TOKENS", "tokens to generate (default: the profile's)"},
      {"--workload-file", ValueKind::kPath, "FILE",
       "YAML or JSON file with the keys of a workload, in place of a profile"},
  };
}

std::vector<Flag> RequestFlags() {
  std::vector<Flag> flags = {
      {"--model-id", ValueKind::kText, "ID", "model (default deepseek-ai/DeepSeek-OCR)"},
      {"--model-variant", ValueKind::kText, "NAME",
       "variant (default deepseek-ocr-v1-base; 'dsocrctl models' lists them)"},
      {"--model", ValueKind::kPath, "DIR", "Hugging Face directory with config.json and weights (default: built in)"},
      {"--workload-profile-id", ValueKind::kText, "ID",
       "workload (default dsocr-standard-v1; see 'dsocrctl workloads')"},
      {"--dtype",
       ValueKind::kChoice,
       "TYPE",
       "precision of weights and activations (default: the profile's)",
       {"bf16", "fp32"}},
  };
  const std::vector<Flag> workload = WorkloadFlags();
  flags.insert(flags.end(), workload.begin(), workload.end());
  return flags;
}

bool NamesFile(const Io& io, const std::string& argument) {
  struct stat info;
  return argument.find('/') != std::string::npos || argument.ends_with(".json") || argument.ends_with(".yaml") ||
         argument.ends_with(".yml") ||
         (!argument.empty() && ::stat(AbsolutePath(io, argument).c_str(), &info) == 0 && !S_ISDIR(info.st_mode));
}

absl::StatusOr<std::string> ReadFile(const std::string& what, const std::string& path, size_t max_bytes) {
  const auto error = [&](std::string_view why) {
    return absl::InvalidArgumentError(fmt::format("{} '{}': {}; give a readable file", what, path, why));
  };
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) {
    return error(std::strerror(errno));
  }
  struct stat info;
  if (fstat(fd.get(), &info) == 0 && S_ISREG(info.st_mode) && info.st_size > static_cast<off_t>(max_bytes)) {
    return error(fmt::format("{} bytes, at most {} are read", info.st_size, max_bytes));  // before any is
  }
  std::string text;
  constexpr size_t kPiece = 64 * 1024;
  while (text.size() <= max_bytes) {
    const size_t size = text.size();
    text.resize(size + kPiece);
    const ssize_t count = ::read(fd.get(), text.data() + size, kPiece);
    text.resize(size + static_cast<size_t>(std::max<ssize_t>(count, 0)));
    if (count == 0) {
      return text;
    }
    if (count < 0 && errno != EINTR) {
      return error(std::strerror(errno));
    }
  }
  return error(fmt::format("over {} bytes", max_bytes));
}

absl::StatusOr<v1::WorkloadOverrides> MakeOverrides(const CommandLine& line, const Io& io) {
  v1::WorkloadOverrides overrides;
  if (line.Has("--workload-file")) {
    const std::string path = AbsoluteFlag(line, io, "--workload-file");
    DSOCR_ASSIGN_OR_RETURN(const std::string text, ReadFile("--workload-file", path, kMaxWorkloadFileBytes));
    const absl::Status status =
        document::ParsePartial(text, document::FormatOfFileName(path), overrides.mutable_profile());
    if (!status.ok()) {
      return absl::InvalidArgumentError(
          fmt::format("--workload-file '{}': {}; the keys are those of 'dsocrctl workloads -o yaml'", path,
                      std::string(status.message())));
    }
  }
  if (const auto page = line.Page("--page")) {
    overrides.set_page_width(page->first);
    overrides.set_page_height(page->second);
  }
  if (const auto value = line.Integer("--base-size")) {
    overrides.set_base_size(*value);
  }
  if (const auto value = line.Integer("--image-size")) {
    overrides.set_image_size(*value);
  }
  if (const auto value = line.Integer("--crop-mode")) {
    overrides.set_crop_mode(static_cast<int32_t>(*value));
  }
  if (const auto value = line.Integer("--seq-len")) {
    overrides.set_seq_len(*value);
  }
  if (const auto value = line.Integer("--max-new-tokens")) {
    overrides.set_max_new_tokens(*value);
  }
  return overrides;
}

absl::StatusOr<v1::DeepSeekOCRAnalyticRequest> MakeRequest(const CommandLine& line, const Io& io) {
  v1::DeepSeekOCRAnalyticRequest request;
  request.set_model_id(line.Text("--model-id"));
  request.set_model_variant(line.Text("--model-variant"));
  request.set_workload_profile_id(line.Text("--workload-profile-id", kDefaultProfile));
  if (line.Has("--profile-run-id")) {
    request.set_profile_run_id(line.Text("--profile-run-id"));
  }
  request.set_force_rebuild(line.Has("--force-rebuild"));
  DSOCR_ASSIGN_OR_RETURN(*request.mutable_workload(), MakeOverrides(line, io));
  request.set_device(line.Text("--device", "auto"));
  request.set_dtype(line.Text("--dtype"));
  request.set_calibration(CalibrationOf(line, io));
  request.set_operator_snapshot(AbsoluteFlag(line, io, "--operator-snapshot"));
  request.set_artifacts_root(ArtifactsRoot(line, io));
  request.set_run_id(line.Text("--run-id"));
  request.set_model_dir(AbsoluteFlag(line, io, "--model"));
  return request;
}

}  // namespace dsocr::client
