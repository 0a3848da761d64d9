// "did you mean …?": the nearest of the names that exist.
#ifndef DSOCR_BASE_SUGGEST_H_
#define DSOCR_BASE_SUGGEST_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dsocr {

// The candidate with the smallest edit distance to `name` (insert, delete, replace, swap of neighbours), if that is at
// most a third of the name's length and at least one edit is allowed; the first of several.
std::optional<std::string> NearestName(std::string_view name, const std::vector<std::string>& candidates);

// "; did you mean 'x'?" or the empty string, for the end of an error message.
std::string DidYouMean(std::string_view name, const std::vector<std::string>& candidates);

// The same with a next step that can be typed: "; did you mean 'x'? NEXT", or "; NEXT".
std::string DidYouMean(std::string_view name, const std::vector<std::string>& candidates, std::string_view next_step);

}  // namespace dsocr

#endif  // DSOCR_BASE_SUGGEST_H_
