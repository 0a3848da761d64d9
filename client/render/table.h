// One table, three ways to print it: aligned text, CSV (RFC 4180) and Markdown.
#ifndef DSOCR_CLIENT_RENDER_TABLE_H_
#define DSOCR_CLIENT_RENDER_TABLE_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace dsocr::client {

enum class Style { kPlain, kBold, kDim, kGood, kFair, kPoor };

struct Cell {
  Cell(std::string shown, Style as = Style::kPlain) : text(std::move(shown)), style(as) {}
  Cell(const char* shown) : Cell(std::string(shown)) {}
  Cell(std::string shown, std::string exact, Style as = Style::kPlain)
      : text(std::move(shown)), raw(std::move(exact)), style(as) {}

  std::string text;                // for people: "4.50 s"
  std::optional<std::string> raw;  // for CSV: "4500.0"; absent: as text
  Style style = Style::kPlain;
};

struct Column {
  std::string title;  // "PREDICTED"
  std::string key;    // "predicted_ms", the CSV header
  bool is_right_aligned = false;
};

struct Table {
  std::vector<Column> columns;
  std::vector<std::vector<Cell>> rows;  // each as long as columns
};

// Columns two spaces apart, no trailing blanks, widths in characters (UTF-8).
std::string TableText(const Table& table, bool has_color);
std::string TableCsv(const Table& table);
std::string TableMarkdown(const Table& table);

// ANSI colours around `text`, or `text`.
std::string Styled(const std::string& text, Style style, bool has_color);

size_t DisplayWidth(const std::string& text);  // code points

// The end of a path, which tells modules apart, in at most `width` columns: "…/block[0-1,3-4,6-7,9-10]/attn/core".
std::string Shortened(const std::string& path, size_t width);

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_RENDER_TABLE_H_
