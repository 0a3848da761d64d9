#include "proto/document_text.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "dsocr/v1/report.pb.h"
#include "fmt/format.h"

namespace dsocr::document {
namespace {

constexpr size_t kLongestShown = 60;  // of a value in a message: enough to find it, short enough for one line

uint8_t ByteAt(std::string_view text, size_t i) { return static_cast<uint8_t>(text[i]); }

// What JSON or YAML does not take literally within double quotes, or a terminal would act on: controls (C0, DEL, C1),
// line and paragraph separators, byte order mark and non-characters.
bool NeedsEscape(char32_t c) {
  return c < 0x20 || (c >= 0x7F && c <= 0x9F) || c == 0x2028 || c == 0x2029 || c == 0xFEFF || c == 0xFFFE ||
         c == 0xFFFF;
}

char32_t Decode(std::string_view sequence) {
  switch (sequence.size()) {
    case 1:
      return ByteAt(sequence, 0);
    case 2:
      return (ByteAt(sequence, 0) & 0x1Fu) << 6 | (ByteAt(sequence, 1) & 0x3Fu);
    case 3:
      return (ByteAt(sequence, 0) & 0x0Fu) << 12 | (ByteAt(sequence, 1) & 0x3Fu) << 6 | (ByteAt(sequence, 2) & 0x3Fu);
    default:
      return (ByteAt(sequence, 0) & 0x07u) << 18 | (ByteAt(sequence, 1) & 0x3Fu) << 12 |
             (ByteAt(sequence, 2) & 0x3Fu) << 6 | (ByteAt(sequence, 3) & 0x3Fu);
  }
}

void AppendEscaped(char32_t c, std::string* out) {
  switch (c) {
    case '\b':
      *out += "\\b";
      break;
    case '\f':
      *out += "\\f";
      break;
    case '\n':
      *out += "\\n";
      break;
    case '\r':
      *out += "\\r";
      break;
    case '\t':
      *out += "\\t";
      break;
    default:
      *out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
  }
}

}  // namespace

size_t Utf8SequenceLength(std::string_view text) {
  if (text.empty()) {
    return 0;
  }
  const uint8_t first = ByteAt(text, 0);
  if (first < 0x80) {
    return 1;
  }
  const size_t length = first >= 0xC2 && first <= 0xDF   ? 2
                        : first >= 0xE0 && first <= 0xEF ? 3
                        : first >= 0xF0 && first <= 0xF4 ? 4
                                                         : 0;
  if (length == 0 || text.size() < length) {
    return 0;
  }
  for (size_t i = 1; i < length; ++i) {
    if ((ByteAt(text, i) & 0xC0) != 0x80) {
      return 0;
    }
  }
  const uint8_t second = ByteAt(text, 1);
  const bool malformed = (first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
                         (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F);
  return malformed ? 0 : length;
}

bool IsShape(const google::protobuf::Descriptor* type) { return type == v1::Shape::descriptor(); }
bool IsParamValue(const google::protobuf::Descriptor* type) { return type == v1::ParamValue::descriptor(); }

std::string Quote(std::string_view text) {
  std::string out = "\"";
  out.reserve(text.size() + 2);
  for (size_t i = 0; i < text.size();) {
    const size_t length = Utf8SequenceLength(text.substr(i));
    if (length == 0) {
      out += "\xEF\xBF\xBD";
      ++i;
      continue;
    }
    const std::string_view sequence = text.substr(i, length);
    if (sequence == "\"" || sequence == "\\") {
      out += '\\';
      out += sequence;
    } else if (const char32_t c = Decode(sequence); NeedsEscape(c)) {
      AppendEscaped(c, &out);
    } else {
      out += sequence;
    }
    i += length;
  }
  out += '"';
  return out;
}

std::optional<size_t> FindMalformedUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const size_t length = ByteAt(text, i) < 0x80 ? 1 : Utf8SequenceLength(text.substr(i));
    if (length == 0) {
      return i;
    }
    i += length;
  }
  return std::nullopt;
}

std::string Place(std::string_view text, size_t offset) {
  const std::string_view before = text.substr(0, offset);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0: the first line
  return fmt::format("line {} column {}", line, before.size() - line_start + 1);
}

std::string Shorten(std::string_view text) {
  if (text.size() <= kLongestShown) {
    return std::string(text);
  }
  size_t end = kLongestShown;
  while (end > 0 && (ByteAt(text, end) & 0xC0) == 0x80) {
    --end;
  }
  return std::string(text.substr(0, end)) + "…";
}

std::string QuoteBriefly(std::string_view text) { return Quote(Shorten(text)); }

std::string PathStep(std::string_view key) {
  const bool is_plain = std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c <= '~' && c != '"'; });
  return is_plain ? Shorten(key) : QuoteBriefly(key);
}

}  // namespace dsocr::document
