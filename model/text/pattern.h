// A regular expression of tokenizer.json, matched by PCRE2 as Oniguruma (which the published tokenizer uses) would.
#ifndef DSOCR_MODEL_TEXT_PATTERN_H_
#define DSOCR_MODEL_TEXT_PATTERN_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace dsocr::model {

// Immutable after construction; Split is safe from any thread.
class Pattern {
 public:
  // Throws InputError (invalid_argument) where `regex` is malformed.
  explicit Pattern(std::string_view regex);

  // `text` cut into matches and what lies between them, in order, nothing lost (tokenizers' "Isolated"); empty matches
  // cut nothing. The views point into `text`. REQUIRES: text is well-formed UTF-8. Throws InputError
  // (resource_exhausted) where the pattern backtracks without bound.
  std::vector<std::string_view> Split(std::string_view text) const;

 private:
  struct Code;  // the compiled pattern
  std::shared_ptr<const Code> code_;
};

// `regex` with \s and \S spelled out as Unicode White_Space: PCRE2's own include U+180E. A \S inside a class stays.
// Exposed for tests.
std::string SpellOutSpaces(std::string_view regex);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_TEXT_PATTERN_H_
