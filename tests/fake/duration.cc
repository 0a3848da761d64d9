#include "tests/fake/duration.h"

#include <cmath>
#include <cstdlib>
#include <utility>

namespace dsocr::fake {

bool ParseDuration(const std::string& text, int64_t* duration_ns) {
  static constexpr std::pair<const char*, double> kUnits[] = {
      {"", 1.0}, {"ns", 1.0}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (end == text.c_str()) {
    return false;
  }
  for (const auto& [unit, ns] : kUnits) {
    if (std::string(end) == unit) {
      *duration_ns = std::llround(value * ns);
      return true;
    }
  }
  return false;
}

}  // namespace dsocr::fake
