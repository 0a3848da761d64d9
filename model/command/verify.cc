#include "model/command/verify.h"

#include <algorithm>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <sstream>

#include "model/command/exit_code.h"

namespace dsocr::model {
namespace {

using Json = nlohmann::ordered_json;

Json ToJson(const VerifyReport& report) {
  Json tensors = Json::array();
  for (const TensorCheck& check : report.tensors) {
    tensors.push_back({{"name", check.name},
                       {"max_abs_diff", check.max_abs_diff ? Json(*check.max_abs_diff) : Json(nullptr)},
                       {"tolerance", check.tolerance},
                       {"exact", check.exact},
                       {"passed", check.passed}});
  }
  return {{"passed", report.passed},
          {"tensors", std::move(tensors)},
          {"tokens_equal", report.tokens_equal},
          {"experts_equal", report.experts_equal}};
}

std::string Difference(const TensorCheck& check) {
  if (!check.max_abs_diff) return "-";
  std::ostringstream text;
  text << std::setprecision(2) << std::scientific << *check.max_abs_diff;
  return text.str();
}

void PrintTable(const VerifyReport& report, std::ostream& out) {
  size_t width = 6;
  for (const TensorCheck& check : report.tensors) width = std::max(width, check.name.size());
  const auto row = [&](const std::string& name, const std::string& diff, const std::string& tolerance,
                       const std::string& verdict) {
    out << std::left << std::setw(static_cast<int>(width) + 2) << name << std::right << std::setw(12) << diff
        << std::setw(11) << tolerance << "  " << verdict << '\n';
  };
  row("tensor", "max_abs_diff", "tolerance", "");
  for (const TensorCheck& check : report.tensors) {
    row(check.name, Difference(check), check.exact ? "exact" : "1e-4", check.passed ? "ok" : "FAILED");
  }
  const auto failed =
      std::count_if(report.tensors.begin(), report.tensors.end(), [](const auto& c) { return !c.passed; });
  out << (report.passed ? "passed" : "FAILED") << ": " << report.tensors.size() - failed << " of "
      << report.tensors.size() << " tensors; tokens " << (report.tokens_equal ? "equal" : "differ") << ", experts "
      << (report.experts_equal ? "equal" : "differ") << '\n';
}

}  // namespace

void PrintVerifyReport(const VerifyReport& report, VerifyFormat format, std::ostream& out) {
  if (format == VerifyFormat::kJson) {
    out << ToJson(report).dump(2) << '\n';
  } else {
    PrintTable(report, out);
  }
  out << std::flush;
}

int RunVerify(const std::string& dir, DecodeMode mode, VerifyFormat format, std::ostream& out) {
  const VerifyReport report = Verify(dir, mode);
  PrintVerifyReport(report, format, out);
  return report.passed ? kExitDone : kExitFailed;
}

}  // namespace dsocr::model
