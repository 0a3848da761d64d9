// --page WIDTHxHEIGHT, as the runner's commands take it.
#ifndef DSOCR_MODEL_COMMAND_PAGE_SIZE_H_
#define DSOCR_MODEL_COMMAND_PAGE_SIZE_H_

#include <optional>
#include <string_view>

#include "model/image/image.h"

namespace dsocr::model {

inline constexpr int kMaxPageSide = 1 << 16;  // that of `serve`

// "1240x1754" -> 1240 x 1754 pixels. Nothing for anything else, and for a side that is not in 1 .. kMaxPageSide.
std::optional<Size> ParsePageSize(std::string_view text);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_COMMAND_PAGE_SIZE_H_
