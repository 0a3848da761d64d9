// What the files that write the layer documents share.
#ifndef DSOCR_DAEMON_EXPORT_LAYER_PARTS_H_
#define DSOCR_DAEMON_EXPORT_LAYER_PARTS_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "analytic/explanation.h"
#include "daemon/export/index.h"
#include "daemon/export/layer_pages.h"
#include "daemon/export/text.h"
#include "dsocr/v1/report.pb.h"

namespace dsocr::exporter {

inline constexpr std::string_view kSummaryFile = "summary.md";

// One module, as the report and the explanation know it.
struct ModuleView {
  const analytic::Node& node;
  const analytic::ModuleExplanation& explanation;
  const v1::ModuleMetricsSnapshot& metrics;
};

// Everything that pages are written from.
class Book {
 public:
  Book(const v1::AnalyticModelReport& report, const Origin* origin);

  const v1::AnalyticModelReport& report() const { return report_; }
  const ReportIndex& index() const { return index_; }
  const Origin* origin() const { return origin_; }
  // REQUIRES: there is an origin.
  const analytic::Explanation& explanation() const { return *explanation_; }

  // Absent where the prediction has no such module.
  std::optional<ModuleView> Find(const std::string& module_id) const;

  const std::string& FileOf(const std::string& module_id) const { return files_.at(module_id); }
  // `text` as a link to the page of the module, where it has one.
  std::string Link(std::string_view text, const std::string& module_id) const;
  std::string Link(const std::string& module_id) const { return Link(module_id, module_id); }

 private:
  const v1::AnalyticModelReport& report_;
  const ReportIndex index_;
  const Origin* const origin_;
  std::optional<analytic::Explanation> explanation_;
  absl::flat_hash_map<std::string, size_t> nodes_;       // by module id
  absl::flat_hash_map<std::string, std::string> files_;  // by module id
};

// "1,234.568"
std::string GroupedReal(double value, int decimals);
// "9,600", "20.8125"
std::string NumberText(const analytic::Number& number);
// "`[1, 64, 64, 768]`", "-" for a shape that is not known.
std::string ShapeText(const analytic::Shape& shape);

// Sections of a module's page, each starting with a blank line and a heading.
std::string CallsSection(const ModuleView& module);
// Of a leaf: the formulas with numbers, the time, the sum.
std::string WorkSections(const Book& book, const ModuleView& module);
// Of a module with children: their figures, and the sum.
std::string ChildrenSection(const Book& book, const ModuleView& module);
// Which operators a call dispatches; "" where there is no census, or all is in the children.
std::string CensusSection(const ModuleView& module);
// The module's figures beside those of the report.
std::string ResultSection(const Book& book, const ModuleView& module);
std::string MemorySection(const Book& book, const ModuleView& module);

// One block of formulas that GitHub renders; lines are "\text{left} &= right".
std::string MathBlock(const std::vector<std::string>& lines);
// The formulas of an operator in symbols.
std::vector<std::string> FormulaLines(const analytic::OperatorDescription& op);

// Rows of routed experts: which were hit, beside what an even routing hits. `decoder`: null where the model is not
// known.
void AddExpertRows(const v1::ModuleMeasurement& measured, const analytic::DecoderSpec* decoder, Table* table);
// What replaces the even routing; "" where nothing does.
std::string RoutingText(const analytic::DecoderSpec& decoder);

std::string SummaryPage(const Book& book);

}  // namespace dsocr::exporter

#endif  // DSOCR_DAEMON_EXPORT_LAYER_PARTS_H_
