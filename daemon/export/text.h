// Numbers and tables as a reader of Markdown wants them.
#ifndef DSOCR_DAEMON_EXPORT_TEXT_H_
#define DSOCR_DAEMON_EXPORT_TEXT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dsocr::exporter {

// Four significant digits: "12.35", "0.001235", "1235000". 0 is "0".
std::string Figure(double value);

// "3,336,106,240"
std::string Grouped(int64_t count);

// "12.3 %"
std::string Percent(double share);

// Text as Markdown shows it literally, also inside a table: control characters become spaces, marks are escaped.
std::string Escaped(std::string_view text);

// `text` as inline code, whatever it holds.
std::string Code(std::string_view text);

// A Markdown table whose columns are padded to one width, so that the source reads as well as the page. Cells are
// Markdown already.
class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kRight;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // REQUIRES: one cell a column.
  void Add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::string ToString() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace dsocr::exporter

#endif  // DSOCR_DAEMON_EXPORT_TEXT_H_
