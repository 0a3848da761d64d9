#include "client/render/junit.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "fmt/format.h"

namespace dsocr::client {
namespace {

// As a value of an attribute. XML 1.0 has no way to write most control characters.
std::string Escaped(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&apos;";
        break;
      default:
        escaped += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return escaped;
}

enum class Outcome { kPassed, kFailed, kError };

struct TestCase {
  std::string name;
  double seconds = 0.0;
  Outcome outcome = Outcome::kPassed;
  std::string message;
};

std::string DescribeStage(const v1::StageVerdict& stage) {
  std::string text = fmt::format("predicted {:.6g} ms, measured {:.6g} ms: {:.3g} % off", stage.predicted_ms(),
                                 stage.measured_ms(), stage.error_pct());
  return stage.has_max_error_pct() ? fmt::format("{}, bound {:.10g} %", text, stage.max_error_pct()) : text;
}

std::vector<TestCase> TestCasesOf(const v1::CaseVerdict& verdict) {
  if (verdict.has_error()) {
    return {{.name = "run", .outcome = Outcome::kError, .message = verdict.error()}};
  }
  std::vector<TestCase> tests;
  for (const v1::StageVerdict& stage : verdict.stages()) {
    TestCase test{.name = stage.stage(), .seconds = stage.measured_ms() / 1e3};
    if (!stage.within()) {
      test.outcome = Outcome::kFailed;
      test.message = DescribeStage(stage);
    }
    for (const v1::LaunchVerdict& launches : verdict.launches()) {
      if (launches.stage() == stage.stage() && !launches.within()) {
        test.outcome = Outcome::kFailed;
        test.message += fmt::format("{}{} operations, {} predicted", test.message.empty() ? "" : "; ",
                                    launches.measured_launches(), launches.predicted_launches());
      }
    }
    tests.push_back(std::move(test));
  }
  if (verdict.has_regression()) {
    const bool is_slower = verdict.regression().is_regression();
    tests.push_back({.name = "regression",
                     .outcome = is_slower ? Outcome::kFailed : Outcome::kPassed,
                     .message = is_slower ? verdict.regression().why() : ""});
  }
  const bool has_failure =
      std::any_of(tests.begin(), tests.end(), [](const TestCase& test) { return test.outcome != Outcome::kPassed; });
  if (!verdict.passed() && !has_failure) {  // a bound of the whole case
    tests.push_back({.name = "case", .outcome = Outcome::kFailed, .message = verdict.why()});
  }
  return tests;
}

std::string TestXml(const TestCase& test, const std::string& class_name) {
  const std::string open = fmt::format("    <testcase name=\"{}\" classname=\"{}\" time=\"{:.6f}\"", Escaped(test.name),
                                       Escaped(class_name), test.seconds);
  if (test.outcome == Outcome::kPassed) {
    return open + "/>\n";
  }
  return fmt::format("{}>\n      <{} message=\"{}\"/>\n    </testcase>\n", open,
                     test.outcome == Outcome::kError ? "error" : "failure", Escaped(test.message));
}

}  // namespace

std::string JUnitXml(const v1::Validation& validation) {
  std::string suites;
  int all[3] = {0, 0, 0};  // tests, failures, errors
  for (const v1::CaseVerdict& verdict : validation.cases()) {
    const std::string class_name = fmt::format("{}.{}", validation.suite(), verdict.name());
    std::string tests;
    int count[3] = {0, 0, 0};
    double seconds = 0;
    for (const TestCase& test : TestCasesOf(verdict)) {
      tests += TestXml(test, class_name);
      ++count[0];
      count[1] += test.outcome == Outcome::kFailed ? 1 : 0;
      count[2] += test.outcome == Outcome::kError ? 1 : 0;
      seconds += test.name == "total" ? test.seconds : 0.0;
    }
    suites += fmt::format(
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" time=\"{:.6f}\" timestamp=\"{}\">\n{}"
        "  </testsuite>\n",
        Escaped(class_name), count[0], count[1], count[2], seconds, Escaped(validation.started_at()), tests);
    for (int i = 0; i < 3; ++i) {
      all[i] += count[i];
    }
  }
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<testsuites name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\">\n{}</testsuites>\n",
      Escaped(validation.suite()), all[0], all[1], all[2], suites);
}

}  // namespace dsocr::client
