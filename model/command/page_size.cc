#include "model/command/page_size.h"

#include <charconv>

namespace dsocr::model {

std::optional<Size> ParsePageSize(std::string_view text) {
  Size size{};
  const char* const end = text.data() + text.size();
  const auto [cross, width_error] = std::from_chars(text.data(), end, size.width);
  if (width_error != std::errc() || cross == end || *cross != 'x') return std::nullopt;
  const auto [rest, height_error] = std::from_chars(cross + 1, end, size.height);
  const auto is_side = [](int side) { return side > 0 && side <= kMaxPageSide; };
  if (height_error != std::errc() || rest != end || !is_side(size.width) || !is_side(size.height)) return std::nullopt;
  return size;
}

}  // namespace dsocr::model
