#include "client/render/diff_table.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "client/render/units.h"
#include "fmt/format.h"
#include "proto/document.h"

namespace dsocr::client {
namespace {

using DiffRows = google::protobuf::RepeatedPtrField<v1::DiffRow>;

constexpr int kShownRows = 12;
constexpr size_t kIdWidth = 46;
constexpr double kSignificant = 0.01;
constexpr double kClearChange = 0.001;  // of the total: below it no colour

std::string PText(std::optional<double> p) { return !p ? "" : *p < 0.001 ? "<0.001" : fmt::format("{:.3f}", *p); }

std::optional<double> POf(const v1::DiffRow& row) {
  return row.has_p_value() ? std::optional(row.p_value()) : std::nullopt;
}

// Slower is poor, faster is good; what repeats call chance is neither.
Style StyleOf(const v1::DiffRow& row) {
  if (row.id().starts_with('[')) {
    return Style::kDim;
  }
  const bool is_chance = row.has_p_value() && row.p_value() > kSignificant;
  return is_chance || std::fabs(row.share_of_total()) < kClearChange ? Style::kPlain
         : row.difference_ms() > 0                                   ? Style::kPoor
                                                                     : Style::kGood;
}

std::vector<Column> Columns(const std::string& title, bool has_p) {
  std::vector<Column> columns = {{title, "id"},
                                 {"A", "a_ms", true},
                                 {"B", "b_ms", true},
                                 {"DIFFERENCE", "difference_ms", true},
                                 {"OF TOTAL", "share_of_total", true}};
  if (has_p) {
    columns.push_back({"P", "p_value", true});
  }
  return columns;
}

std::vector<Cell> CellsOf(const v1::DiffRow& row, bool has_p, Style label_style) {
  std::vector<Cell> cells = {
      Cell(Shortened(row.id(), kIdWidth), row.id(), label_style),
      Cell(HumanMs(row.a_ms()), document::FormatDouble(row.a_ms())),
      Cell(HumanMs(row.b_ms()), document::FormatDouble(row.b_ms())),
      Cell(HumanDifference(row.difference_ms()), document::FormatDouble(row.difference_ms()),
           label_style == Style::kBold ? Style::kBold : StyleOf(row)),
      Cell(HumanShareChange(row.share_of_total()), document::FormatDouble(row.share_of_total()))};
  if (has_p) {
    cells.emplace_back(PText(POf(row)), row.has_p_value() ? document::FormatDouble(row.p_value()) : "");
  }
  return cells;
}

bool HasP(const DiffRows& rows) {
  return std::any_of(rows.begin(), rows.end(), [](const v1::DiffRow& row) { return row.has_p_value(); });
}

v1::DiffRow TotalOf(const v1::DiffReportsResponse& diff) {
  v1::DiffRow total;
  total.set_id("total");
  total.set_a_ms(diff.a().total_ms());
  total.set_b_ms(diff.b().total_ms());
  total.set_difference_ms(diff.difference_ms());
  total.set_share_of_total(diff.a().total_ms() > 0 ? diff.difference_ms() / diff.a().total_ms() : 0);
  if (diff.has_p_value()) {
    total.set_p_value(diff.p_value());
  }
  return total;
}

Table ShownRows(const std::string& title, const DiffRows& rows, const v1::DiffReportsResponse& diff) {
  const bool has_p = HasP(rows);
  Table table;
  table.columns = Columns(title, has_p);
  v1::DiffRow rest;
  for (int i = 0; i < rows.size(); ++i) {
    const v1::DiffRow& row = rows[i];
    if (i < kShownRows) {
      table.rows.push_back(CellsOf(row, has_p, row.id().starts_with('[') ? Style::kDim : Style::kPlain));
    } else {
      rest.set_a_ms(rest.a_ms() + row.a_ms());
      rest.set_b_ms(rest.b_ms() + row.b_ms());
      rest.set_difference_ms(rest.difference_ms() + row.difference_ms());
      rest.set_share_of_total(rest.share_of_total() + row.share_of_total());
    }
  }
  if (rows.size() > kShownRows) {
    rest.set_id(fmt::format("[{} others]", rows.size() - kShownRows));
    table.rows.push_back(CellsOf(rest, has_p, Style::kDim));
  }
  table.rows.push_back(CellsOf(TotalOf(diff), has_p, Style::kBold));
  return table;
}

std::string Heading(const v1::DiffReportsResponse& diff) {
  const auto side = [](const char* name, const v1::DiffSide& side) {
    return fmt::format("{}  {}{}{} on {}, {}\n", name, side.report_id(),
                       side.workload_profile_id().empty() ? "" : " · " + side.workload_profile_id(),
                       side.dtype().empty() ? "" : " · " + side.dtype(), side.device(), HumanMs(side.total_ms()));
  };
  std::string heading = side("A", diff.a()) + side("B", diff.b());
  if (diff.basis() == v1::DIFF_BASIS_PREDICTED) {
    heading += "predicted times: one of them was not measured\n";
  }
  for (const std::string& note : diff.notes()) {
    heading += fmt::format("differs: {}\n", note);
  }
  return heading;
}

std::vector<Table> Tables(const v1::DiffReportsResponse& diff) {
  return {ShownRows("MODULE", diff.modules(), diff), ShownRows("OPERATORS", diff.operators(), diff)};
}

}  // namespace

std::string DiffText(const v1::DiffReportsResponse& diff, bool has_color) {
  std::string text = Heading(diff);
  for (const Table& table : Tables(diff)) {
    text += fmt::format("\n{}", TableText(table, has_color));
  }
  return text;
}

std::string DiffMarkdown(const v1::DiffReportsResponse& diff) {
  std::string text = fmt::format("# {} against {}\n\n{}", diff.b().report_id(), diff.a().report_id(), Heading(diff));
  for (const Table& table : Tables(diff)) {
    text += fmt::format("\n{}", TableMarkdown(table));
  }
  return text;
}

Table DiffTable(const v1::DiffReportsResponse& diff) {
  Table table;
  table.columns = Columns("MODULE", /*has_p=*/true);
  for (const v1::DiffRow& row : diff.modules()) {
    table.rows.push_back(CellsOf(row, /*has_p=*/true, Style::kPlain));
  }
  return table;
}

}  // namespace dsocr::client
