#define PCRE2_CODE_UNIT_WIDTH 8
#include "model/text/pattern.h"

#include <pcre2.h>

#include <algorithm>
#include <array>
#include <string>

#include "model/error.h"

namespace dsocr::model {
namespace {

constexpr std::string_view kSpaceClass = R"(\x{9}-\x{d}\x{85}\p{Z})";

// Steps of one match. The published patterns need up to three a character (a run of spaces is tried as three
// alternatives); a hostile one is stopped after well under a second.
constexpr uint32_t kMatchLimit = 1'000'000;
constexpr uint32_t kMatchLimitPerByte = 8;
constexpr uint32_t kHeapLimitKib = 64 * 1024;

std::string ErrorText(int code) {
  std::array<PCRE2_UCHAR, 256> text = {};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

struct FreeMatchData {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct FreeMatchContext {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

}  // namespace

struct Pattern::Code {
  explicit Code(pcre2_code* compiled) : compiled(compiled) {}
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  ~Code() { pcre2_code_free(compiled); }

  pcre2_code* compiled;
};

std::string SpellOutSpaces(std::string_view regex) {
  std::string out;
  bool is_in_class = false;
  for (size_t i = 0; i < regex.size(); ++i) {
    const char c = regex[i];
    if (c == '\\' && i + 1 < regex.size()) {
      const char escaped = regex[++i];
      if (escaped == 's') {
        out += is_in_class ? std::string(kSpaceClass) : "[" + std::string(kSpaceClass) + "]";
      } else if (escaped == 'S' && !is_in_class) {
        out += "[^" + std::string(kSpaceClass) + "]";
      } else {
        out += {c, escaped};
      }
      continue;
    }
    if (is_in_class && regex.substr(i).starts_with("[:")) {  // a named class, e.g. [:alpha:]
      const size_t end = std::min(regex.find(":]", i + 2), regex.size() - 2);
      out += regex.substr(i, end + 2 - i);
      i = end + 1;
      continue;
    }
    is_in_class = is_in_class ? c != ']' : c == '[';
    out += c;
  }
  return out;
}

Pattern::Pattern(std::string_view regex) {
  const std::string spelled_out = SpellOutSpaces(regex);
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(spelled_out.data()), spelled_out.size(),
                                       PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr);
  if (compiled == nullptr) {
    throw InputError(ErrorCode::kInvalidArgument, "tokenizer pattern", ErrorText(error), "give a valid tokenizer.json");
  }
  code_ = std::make_shared<const Code>(compiled);
}

std::vector<std::string_view> Pattern::Split(std::string_view text) const {
  const std::unique_ptr<pcre2_match_data, FreeMatchData> data(
      pcre2_match_data_create_from_pattern(code_->compiled, nullptr));
  const std::unique_ptr<pcre2_match_context, FreeMatchContext> context(pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(context.get(), kMatchLimit + kMatchLimitPerByte * static_cast<uint32_t>(text.size()));
  pcre2_set_heap_limit(context.get(), kHeapLimitKib);
  std::vector<std::string_view> pieces;
  size_t piece_start = 0;
  size_t search_start = 0;
  while (search_start < text.size()) {
    const int result = pcre2_match(code_->compiled, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                   search_start, PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, data.get(), context.get());
    if (result == PCRE2_ERROR_NOMATCH) {
      break;
    }
    if (result < 0) {
      throw InputError(ErrorCode::kResourceExhausted, "tokenizer pattern", ErrorText(result), "give a shorter text");
    }
    const PCRE2_SIZE* match = pcre2_get_ovector_pointer(data.get());
    if (match[0] < search_start || match[1] <= match[0]) {  // \K in a look-around can do this
      throw InputError(ErrorCode::kInvalidArgument, "tokenizer pattern", "its match ends before it starts",
                       "give a valid tokenizer.json");
    }
    if (match[0] > piece_start) {
      pieces.push_back(text.substr(piece_start, match[0] - piece_start));
    }
    pieces.push_back(text.substr(match[0], match[1] - match[0]));
    piece_start = search_start = match[1];
  }
  if (piece_start < text.size()) {
    pieces.push_back(text.substr(piece_start));
  }
  return pieces;
}

}  // namespace dsocr::model
