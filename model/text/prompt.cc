#include "model/text/prompt.h"

#include "model/error.h"

namespace dsocr::model {
namespace {

// What Python's str.isspace() accepts, in UTF-8.
constexpr std::string_view kSpaces[] = {
    "\t",           "\n",           "\v",           "\f",           "\r",           " ",
    "\x1c",         "\x1d",         "\x1e",         "\x1f",         "\xc2\x85",     "\xc2\xa0",
    "\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x81", "\xe2\x80\x82", "\xe2\x80\x83", "\xe2\x80\x84",
    "\xe2\x80\x85", "\xe2\x80\x86", "\xe2\x80\x87", "\xe2\x80\x88", "\xe2\x80\x89", "\xe2\x80\x8a",
    "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"};

size_t LeadingSpace(std::string_view text) {
  for (const std::string_view space : kSpaces) {
    if (text.starts_with(space)) {
      return space.size();
    }
  }
  return 0;
}

size_t TrailingSpace(std::string_view text) {
  for (const std::string_view space : kSpaces) {
    if (text.ends_with(space)) {
      return space.size();
    }
  }
  return 0;
}

std::string_view Strip(std::string_view text) {
  while (const size_t length = LeadingSpace(text)) {
    text.remove_prefix(length);
  }
  while (const size_t length = TrailingSpace(text)) {
    text.remove_suffix(length);
  }
  return text;
}

}  // namespace

std::vector<int64_t> PromptIds(const Tokenizer& tokenizer, std::string_view prompt, const PromptTokens& tokens) {
  const std::string_view stripped = Strip(prompt);
  const size_t page = stripped.find(kImagePlaceholder);
  if (page == std::string_view::npos ||
      stripped.find(kImagePlaceholder, page + kImagePlaceholder.size()) != std::string_view::npos) {
    throw InputError(ErrorCode::kInvalidArgument, "prompt", "it does not hold '<image>' exactly once",
                     "give e.g. '<image>\\nFree OCR.'");
  }
  std::vector<int64_t> ids = {tokens.bos_id};
  const std::vector<int64_t> before = tokenizer.Encode(stripped.substr(0, page));
  const std::vector<int64_t> after = tokenizer.Encode(stripped.substr(page + kImagePlaceholder.size()));
  ids.insert(ids.end(), before.begin(), before.end());
  ids.insert(ids.end(), tokens.image_count, tokens.image_id);
  ids.insert(ids.end(), after.begin(), after.end());
  return ids;
}

}  // namespace dsocr::model
