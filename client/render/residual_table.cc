#include "client/render/residual_table.h"

#include <algorithm>

#include "client/render/units.h"
#include "fmt/format.h"
#include "fmt/ranges.h"
#include "proto/document.h"

namespace dsocr::client {
namespace {

constexpr int kShownParts = 6;
constexpr size_t kPlaceWidth = 37;  // the other columns take 63 of the 100

Cell TimeCell(double ms) { return Cell(HumanDifference(ms), document::FormatDouble(ms)); }

}  // namespace

Table ResidualTable(const v1::Residual& residual) {
  Table table;
  table.columns = {{"WHY", "text"}, {"DIFFERENCE", "residual_ms", true}, {"MOST OF IT IN", "module_id"}};
  const int shown = std::min(kShownParts, residual.parts_size());
  double rest = residual.residual_ms();
  for (int i = 0; i < shown; ++i) {
    const v1::ResidualPart& part = residual.parts(i);
    table.rows.push_back({Cell(part.text()), TimeCell(part.residual_ms()),
                          Cell(Shortened(part.module_id(), kPlaceWidth), part.module_id(), Style::kDim)});
    rest -= part.residual_ms();
  }
  if (residual.parts_size() > shown) {
    table.rows.push_back(
        {Cell(fmt::format("[{} smaller ones]", residual.parts_size() - shown), Style::kDim), TimeCell(rest), Cell("")});
  }
  table.rows.push_back(
      {Cell("measured - predicted", Style::kBold),
       Cell(HumanDifference(residual.residual_ms()), document::FormatDouble(residual.residual_ms()), Style::kBold),
       Cell("")});
  return table;
}

std::string ResidualWords(const v1::ResidualPart& part) {
  std::string words = fmt::format("{:>8}  {}", HumanDifference(part.residual_ms()), part.text());
  if (part.has_module_id()) {
    words += fmt::format(", most in {}", part.module_id());
  }
  if (part.has_input_shape()) {
    words += fmt::format(" [{}]", fmt::join(part.input_shape().dims(), ", "));
  }
  return words;
}

}  // namespace dsocr::client
