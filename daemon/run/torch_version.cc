#include "daemon/run/torch_version.h"

#include <system_error>

#include "daemon/run/runner.h"
#include "nlohmann/json.hpp"

namespace dsocr::run {
namespace {

constexpr absl::Duration kVersionLimit = absl::Seconds(30);  // a busy machine loads LibTorch slowly

std::string AskTorchVersion(const std::string& runner_path) {
  const StopSource never;
  const absl::StatusOr<std::string> answer =
      Ask({.arguments = {runner_path, "version"}, .environment = {}}, kVersionLimit, never);
  const auto json = nlohmann::json::parse(answer.ok() ? *answer : "", nullptr, /*allow_exceptions=*/false);
  return json.is_object() && json.contains("torch") && json["torch"].is_string() ? json["torch"].get<std::string>()
                                                                                 : "";
}

}  // namespace

std::string TorchVersion::Of(const std::string& runner_path) {
  absl::MutexLock lock(&mutex_);
  std::error_code error;
  const std::filesystem::file_time_type written = std::filesystem::last_write_time(runner_path, error);
  if (version_.empty() || runner_path != runner_path_ || written != written_) {
    version_ = AskTorchVersion(runner_path);
    runner_path_ = runner_path;
    written_ = written;
  }
  return version_;
}

}  // namespace dsocr::run
