#include "daemon/validate/suite.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/status.h"
#include "daemon/catalog/models.h"
#include "daemon/report/report.h"
#include "fmt/format.h"

namespace dsocr::validate {
namespace {

constexpr int kMaxCases = 100;
constexpr int kDefaultRepeats = 5;
constexpr int kDefaultWarmup = 1;
constexpr int kMaxRepeats = 200;
constexpr int kMaxRequests = 20'000;
constexpr int kMaxWarmup = 100;
constexpr double kMaxBoundPct = 1e6;
constexpr size_t kLongestName = 100;

absl::Status Wrong(std::string_view path, std::string_view value, std::string_view why) {
  return absl::InvalidArgumentError(fmt::format("suite: {} = {}: {}", path, value, why));
}

absl::Status CheckName(const std::string& path, const std::string& name) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+=,-";
  return name.size() <= kLongestName && name.find_first_not_of(kAllowed) == std::string::npos
             ? absl::OkStatus()
             : Wrong(path, fmt::format("'{}'", name.substr(0, kLongestName)),
                     fmt::format("not a name; use up to {} letters, digits and ._+=,-", kLongestName));
}

absl::Status CheckBounds(const std::string& path, const v1::ValidationBounds& bounds) {
  const auto check = [&](bool is_given, std::string_view key, double value, double largest) {
    return !is_given || (std::isfinite(value) && value >= 0 && value <= largest)
               ? absl::OkStatus()
               : Wrong(fmt::format("{}.{}", path, key), fmt::format("{}", value),
                       fmt::format("out of range; give 0 to {} percent", largest));
  };
  DSOCR_RETURN_IF_ERROR(
      check(bounds.has_max_stage_error_pct(), "max_stage_error_pct", bounds.max_stage_error_pct(), kMaxBoundPct));
  DSOCR_RETURN_IF_ERROR(
      check(bounds.has_max_total_error_pct(), "max_total_error_pct", bounds.max_total_error_pct(), kMaxBoundPct));
  DSOCR_RETURN_IF_ERROR(
      check(bounds.has_max_launch_error_pct(), "max_launch_error_pct", bounds.max_launch_error_pct(), kMaxBoundPct));
  return check(bounds.has_min_coverage_90_pct(), "min_coverage_90_pct", bounds.min_coverage_90_pct(), 100);
}

absl::Status CheckCount(const std::string& path, int32_t value, int least, int most) {
  return value >= least && value <= most
             ? absl::OkStatus()
             : Wrong(path, fmt::format("{}", value), fmt::format("out of range; give {} to {}", least, most));
}

// What the case itself says counts, key by key.
v1::ValidationBounds Merged(const v1::ValidationBounds& suite, const v1::ValidationBounds& own) {
  v1::ValidationBounds merged = suite;
  merged.MergeFrom(own);
  return merged;
}

absl::Status Complete(const std::string& path, const v1::ValidationBounds& suite_bounds, v1::ValidationCase* of) {
  if (of->workload().empty() && !of->overrides().has_profile()) {
    return Wrong(path + ".workload", "''", "missing; give a profile_id of 'dsocrctl workloads'");
  }
  if (!of->model().empty() && of->model() != kSmallModel && !of->model().starts_with('/')) {
    return Wrong(path + ".model", fmt::format("'{}'", of->model()),
                 "neither small nor an absolute directory; leave it out for the published model");
  }
  if (!of->has_repeats()) {
    of->set_repeats(kDefaultRepeats);
  }
  if (!of->has_warmup()) {
    of->set_warmup(kDefaultWarmup);
  }
  if (!of->has_best_of()) {
    of->set_best_of(1);
  }
  DSOCR_RETURN_IF_ERROR(CheckCount(path + ".repeats", of->repeats(), 1, kMaxRepeats));
  DSOCR_RETURN_IF_ERROR(
      CheckCount(path + ".best_of", of->best_of(), 1, std::min(report::kMostRepeats, kMaxRequests / of->repeats())));
  DSOCR_RETURN_IF_ERROR(CheckCount(path + ".warmup", of->warmup(), 0, kMaxWarmup));
  DSOCR_RETURN_IF_ERROR(CheckBounds(path + ".bounds", of->bounds()));
  *of->mutable_bounds() = Merged(suite_bounds, of->bounds());
  if (of->name().empty()) {
    of->set_name(of->workload().empty() ? of->overrides().profile().profile_id() : of->workload());
  }
  return CheckName(path + ".name", of->name());
}

v1::ValidationSuite SuiteOfCpu() {
  v1::ValidationSuite suite;
  suite.set_name("built-in-cpu");
  suite.set_description("the small model on this CPU");
  // Its operators take microseconds, of which launching is a large part: no figure of the predictor is meant by them.
  suite.mutable_bounds()->set_max_stage_error_pct(95);
  suite.mutable_bounds()->set_max_total_error_pct(75);
  // How many there are is another matter: the census knows them (docs/cost-model.md).
  suite.mutable_bounds()->set_max_launch_error_pct(1);
  v1::ValidationCase& of = *suite.add_cases();
  of.set_name("small");
  of.set_model(std::string(kSmallModel));
  of.set_workload("dsocr-standard-v1");
  v1::WorkloadOverrides& sizes = *of.mutable_overrides();
  sizes.set_base_size(256);
  sizes.set_image_size(160);
  sizes.set_crop_mode(1);
  sizes.set_page_width(500);
  sizes.set_page_height(380);
  sizes.set_seq_len(89);
  sizes.set_max_new_tokens(16);
  of.set_device("cpu");
  of.set_dtype("fp32");
  of.set_repeats(30);
  of.set_best_of(4);
  of.set_warmup(3);
  return suite;
}

v1::ValidationSuite SuiteOfGpu(std::string_view device) {
  v1::ValidationSuite suite;
  suite.set_name("built-in-gpu");
  suite.set_description("DeepSeek-OCR with random weights on this GPU");
  suite.mutable_bounds()->set_max_stage_error_pct(30);
  suite.mutable_bounds()->set_max_total_error_pct(20);
  for (const char* workload : {"dsocr-tiny-v1", "dsocr-standard-v1"}) {
    v1::ValidationCase& of = *suite.add_cases();
    of.set_workload(workload);
    of.set_device(std::string(device));
    of.set_repeats(30);
    of.set_warmup(3);
  }
  return suite;
}

}  // namespace

v1::ValidationSuite BuiltInSuite(std::string_view device) {
  return device.starts_with("cuda") ? SuiteOfGpu(device) : SuiteOfCpu();
}

absl::StatusOr<v1::ValidationSuite> CompleteSuite(const v1::ValidationSuite& suite) {
  v1::ValidationSuite complete = suite;
  if (suite.cases_size() == 0 || suite.cases_size() > kMaxCases) {
    return Wrong("cases", fmt::format("[{} entries]", suite.cases_size()), fmt::format("give 1 to {}", kMaxCases));
  }
  if (complete.name().empty()) {
    complete.set_name("suite");
  }
  DSOCR_RETURN_IF_ERROR(CheckName("name", complete.name()));
  DSOCR_RETURN_IF_ERROR(CheckBounds("bounds", suite.bounds()));
  std::set<std::string> names;
  for (int i = 0; i < complete.cases_size(); ++i) {
    const std::string path = fmt::format("cases[{}]", i);
    DSOCR_RETURN_IF_ERROR(Complete(path, suite.bounds(), complete.mutable_cases(i)));
    if (const std::string& name = complete.cases(i).name(); !names.insert(name).second) {
      return Wrong(path + ".name", fmt::format("'{}'", name), "another case has it; give each a name of its own");
    }
  }
  return complete;
}

std::vector<v1::ModelRun> RunsOf(const v1::ValidationCase& of, const std::string& artifacts_root) {
  v1::ModelRun run;
  v1::DeepSeekOCRAnalyticRequest& request = *run.mutable_request();
  request.set_model_dir(of.model() == kSmallModel ? catalog::SmallModelDir() : of.model());
  request.set_workload_profile_id(of.workload());
  *request.mutable_workload() = of.overrides();
  request.set_device(of.device().empty() ? "auto" : of.device());
  request.set_dtype(of.dtype());
  request.set_artifacts_root(artifacts_root);
  request.set_calibration(of.calibration());
  run.set_warmup(of.warmup());
  request.set_cuda_graphs(of.cuda_graphs());

  const int most_repeats = report::kMostRepeats / of.best_of();
  std::vector<v1::ModelRun> runs;
  for (int left = of.repeats(); left > 0; left -= most_repeats) {
    run.set_repeats(std::min(left, most_repeats) * of.best_of());
    runs.push_back(run);
  }
  return runs;
}

}  // namespace dsocr::validate
