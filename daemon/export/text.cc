#include "daemon/export/text.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "fmt/format.h"

namespace dsocr::exporter {
namespace {

bool IsControl(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

// Code points, for text that is UTF-8.
size_t Width(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

void AppendCell(const std::string& cell, size_t width, Table::Align align, std::string* text) {
  const size_t padding = width - Width(cell);
  *text += ' ';
  text->append(align == Table::Align::kRight ? padding : 0, ' ');
  *text += cell;
  text->append(align == Table::Align::kRight ? 0 : padding, ' ');
  *text += " |";
}

}  // namespace

std::string Figure(double value) {
  if (value == 0 || !std::isfinite(value)) {
    return value == 0 ? "0" : "-";
  }
  const int decimals = 3 - static_cast<int>(std::floor(std::log10(std::abs(value))));
  constexpr int kMostDecimals = 12;  // smaller values are noise in milliseconds, terabits and gigabytes alike
  std::string text = fmt::format("{:.{}f}", value, std::clamp(decimals, 0, kMostDecimals));
  if (text.find('.') != std::string::npos) {
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') {
      text.pop_back();
    }
  }
  return text;
}

std::string Grouped(int64_t count) {
  std::string digits = std::to_string(count);
  const size_t first = count < 0 ? 1 : 0;
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > first && (digits.size() - i) % 3 == 0) {
      text += ',';
    }
    text += digits[i];
  }
  return text;
}

std::string Percent(double share) { return fmt::format("{:.1f} %", 100 * share); }

std::string Escaped(std::string_view text) {
  constexpr std::string_view kMarks = "\\`*_{}[]<>#|";
  std::string escaped;
  for (const char c : text) {
    if (kMarks.find(c) != std::string_view::npos) {
      escaped += '\\';
    }
    escaped += IsControl(c) ? ' ' : c;
  }
  return escaped;
}

std::string Code(std::string_view text) {
  std::string code;
  for (const char c : text) {
    if (c == '|') {
      code += '\\';  // even inside code, a bar would end a table's cell
    }
    code += IsControl(c) ? ' ' : c == '`' ? '\'' : c;
  }
  return fmt::format("`{}`", code);
}

std::string Table::ToString() const {
  std::vector<size_t> widths;
  for (size_t i = 0; i < columns_.size(); ++i) {
    size_t width = std::max<size_t>(3, Width(columns_[i].title));
    for (const std::vector<std::string>& row : rows_) {
      width = std::max(width, Width(row[i]));
    }
    widths.push_back(width);
  }
  std::string text = "|";
  for (size_t i = 0; i < columns_.size(); ++i) {
    AppendCell(columns_[i].title, widths[i], columns_[i].align, &text);
  }
  text += "\n|";
  for (size_t i = 0; i < columns_.size(); ++i) {
    text.append(widths[i] + 1, '-');
    text += columns_[i].align == Align::kRight ? ":|" : "-|";
  }
  text += '\n';
  for (const std::vector<std::string>& row : rows_) {
    text += '|';
    for (size_t i = 0; i < columns_.size(); ++i) {
      AppendCell(row[i], widths[i], columns_[i].align, &text);
    }
    text += '\n';
  }
  return text;
}

}  // namespace dsocr::exporter
