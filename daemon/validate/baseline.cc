#include "daemon/validate/baseline.h"

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "daemon/validate/regression.h"
#include "fmt/format.h"

namespace dsocr::validate {
namespace {

std::string Because(const v1::RegressionVerdict& verdict) {
  if (verdict.changed().empty()) {
    return "tool, driver and device are as they were: look at the code of the model";
  }
  std::string text;
  for (const v1::Circumstance& changed : verdict.changed()) {
    text += fmt::format("{}{} {} -> {}", text.empty() ? "changed since: " : ", ", changed.what(),
                        changed.before().empty() ? "none" : changed.before(),
                        changed.now().empty() ? "none" : changed.now());
  }
  return text;
}

const v1::CaseVerdict* FindCase(const v1::Validation& validation, const std::string& name) {
  for (const v1::CaseVerdict& verdict : validation.cases()) {
    if (verdict.name() == name) {
      return &verdict;
    }
  }
  return nullptr;
}

v1::RegressionVerdict CompareCase(const v1::CaseVerdict* before, const v1::CaseVerdict& now) {
  v1::RegressionVerdict verdict;
  if (before == nullptr || before->has_error()) {
    verdict.set_why("not compared: the baseline has not measured this case");
    return verdict;
  }
  if (before->workload() != now.workload() || before->dtype() != now.dtype()) {
    verdict.set_why(
        fmt::format("not compared: the baseline's workload is {} in {}", before->workload(), before->dtype()));
    return verdict;
  }
  absl::StatusOr<v1::RegressionVerdict> found = FindRegression(now.repeats(), before->repeats());
  if (!found.ok()) {
    verdict.set_why(fmt::format("not compared: {}", std::string(found.status().message())));
    return verdict;
  }
  for (v1::Circumstance& difference : Differences(before->provenance(), now.provenance())) {
    *found->add_changed() = std::move(difference);
  }
  if (found->is_regression()) {
    found->set_why(fmt::format("{}; {}", found->why(), Because(*found)));
  }
  return *std::move(found);
}

}  // namespace

std::vector<v1::Circumstance> Differences(const v1::Provenance& before, const v1::Provenance& now) {
  std::vector<v1::Circumstance> differences;
  const auto compare = [&](std::string_view what, const std::string& a, const std::string& b) {
    if (a != b) {
      v1::Circumstance& difference = differences.emplace_back();
      difference.set_what(std::string(what));
      difference.set_before(a);
      difference.set_now(b);
    }
  };
  compare("tool_version", before.tool_version(), now.tool_version());
  compare("device", before.device().name(), now.device().name());
  compare("cores", fmt::to_string(before.device().cores()), fmt::to_string(now.device().cores()));
  compare("driver", before.device().driver(), now.device().driver());
  compare("weights", before.weights().path() + before.weights().revision(),
          now.weights().path() + now.weights().revision());
  return differences;
}

void CompareWithBaseline(const v1::Validation& baseline, v1::Validation* validation) {
  for (v1::CaseVerdict& now : *validation->mutable_cases()) {
    if (now.has_error()) {
      continue;
    }
    v1::RegressionVerdict verdict = CompareCase(FindCase(baseline, now.name()), now);
    verdict.set_baseline_id(baseline.validation_id());
    verdict.set_baseline_started_at(baseline.started_at());
    if (verdict.is_regression()) {
      now.set_why(now.passed() ? verdict.why() : fmt::format("{}; {}", now.why(), verdict.why()));
      now.set_passed(false);
    }
    *now.mutable_regression() = std::move(verdict);
  }
}

}  // namespace dsocr::validate
