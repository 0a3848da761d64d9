#include "client/render/table.h"

#include <algorithm>

#include "fmt/format.h"

namespace dsocr::client {
namespace {

const char* AnsiOf(Style style) {
  switch (style) {
    case Style::kPlain:
      return "";
    case Style::kBold:
      return "\033[1m";
    case Style::kDim:
      return "\033[2m";
    case Style::kGood:
      return "\033[32m";
    case Style::kFair:
      return "\033[33m";
    case Style::kPoor:
      return "\033[31m";
  }
  return "";
}

// Text of a daemon's report goes to a terminal: control characters must not.
std::string Printable(const std::string& text) {
  std::string clean = text;
  for (char& c : clean) {
    const auto byte = static_cast<unsigned char>(c);
    c = byte < 0x20 || byte == 0x7F ? ' ' : c;
  }
  return clean;
}

std::vector<size_t> Widths(const Table& table) {
  std::vector<size_t> widths;
  for (size_t i = 0; i < table.columns.size(); ++i) {
    size_t width = DisplayWidth(table.columns[i].title);
    for (const std::vector<Cell>& row : table.rows) {
      width = std::max(width, DisplayWidth(row[i].text));
    }
    widths.push_back(width);
  }
  return widths;
}

std::string Padded(const std::string& text, size_t width, bool is_right_aligned, Style style, bool has_color) {
  const std::string blanks(width - std::min(width, DisplayWidth(text)), ' ');
  const std::string shown = Styled(text, style, has_color);
  return is_right_aligned ? blanks + shown : shown + blanks;
}

std::string CsvField(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) {
    return text;
  }
  std::string quoted = "\"";
  for (const char c : text) {
    quoted += c == '"' ? "\"\"" : std::string(1, c);
  }
  return quoted + "\"";
}

std::string MarkdownField(const std::string& text) {
  std::string escaped;
  for (const char c : Printable(text)) {
    escaped += c == '|' ? "\\|" : std::string(1, c);
  }
  return escaped;
}

}  // namespace

size_t DisplayWidth(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string Styled(const std::string& text, Style style, bool has_color) {
  return has_color && style != Style::kPlain && !text.empty() ? fmt::format("{}{}\033[0m", AnsiOf(style), text) : text;
}

std::string TableText(const Table& table, bool has_color) {
  const std::vector<size_t> widths = Widths(table);
  std::string out;
  const auto add_row = [&](auto text_of, auto style_of) {
    std::string line;
    for (size_t i = 0; i < widths.size(); ++i) {
      line += i == 0 ? "" : "  ";
      line += Padded(Printable(text_of(i)), widths[i], table.columns[i].is_right_aligned, style_of(i), has_color);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line;
    out += '\n';
  };
  add_row([&](size_t i) { return table.columns[i].title; }, [](size_t) { return Style::kBold; });
  for (const std::vector<Cell>& row : table.rows) {
    add_row([&](size_t i) { return row[i].text; }, [&](size_t i) { return row[i].style; });
  }
  return out;
}

std::string TableCsv(const Table& table) {
  std::string out;
  for (size_t i = 0; i < table.columns.size(); ++i) {
    out += fmt::format("{}{}", i == 0 ? "" : ",", CsvField(table.columns[i].key));
  }
  out += "\n";
  for (const std::vector<Cell>& row : table.rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      out += fmt::format("{}{}", i == 0 ? "" : ",", CsvField(row[i].raw.value_or(row[i].text)));
    }
    out += "\n";
  }
  return out;
}

std::string TableMarkdown(const Table& table) {
  std::string out = "|";
  for (const Column& column : table.columns) {
    out += fmt::format(" {} |", column.title);
  }
  out += "\n|";
  for (const Column& column : table.columns) {
    out += column.is_right_aligned ? " ---: |" : " --- |";
  }
  out += "\n";
  for (const std::vector<Cell>& row : table.rows) {
    out += "|";
    for (const Cell& cell : row) {
      out += fmt::format(" {} |", MarkdownField(cell.text));
    }
    out += "\n";
  }
  return out;
}

std::string Shortened(const std::string& path, size_t width) {
  if (DisplayWidth(path) <= width) {
    return path;
  }
  size_t begin = path.size() - std::min(path.size(), width - 1);
  if (const size_t slash = path.find('/', begin); slash != std::string::npos && slash - begin < width / 3) {
    begin = slash;
  }
  while (begin < path.size() && (static_cast<unsigned char>(path[begin]) & 0xC0) == 0x80) {
    ++begin;
  }
  return fmt::format("…{}", path.substr(begin));
}

}  // namespace dsocr::client
