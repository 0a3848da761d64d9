#include "model/output_text.h"

#include <algorithm>

namespace dsocr::model {

std::string OutputText(const Tokenizer& tokenizer, std::span<const int64_t> tokens, int64_t eos_id) {
  const auto end = std::find(tokens.begin(), tokens.end(), eos_id);
  const std::string text =
      tokenizer.Decode(tokens.first(static_cast<size_t>(end - tokens.begin())), /*skip_special=*/false);
  constexpr char kSpace[] = " \t\n\v\f\r";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

}  // namespace dsocr::model
