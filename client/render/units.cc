#include "client/render/units.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "fmt/format.h"

namespace dsocr::client {
namespace {

struct Unit {
  double size;
  const char* name;
};

// Three significant digits of a positive number below 10,000.
std::string ThreeDigits(double value) {
  return value < 9.995   ? fmt::format("{:.2f}", value)
         : value < 99.95 ? fmt::format("{:.1f}", value)
                         : fmt::format("{:.0f}", value);
}

// In the largest of the units (largest first) in which the number does not print below 1; the last one takes the rest.
template <size_t N>
std::string Scaled(double value, const std::array<Unit, N>& units) {
  if (value == 0 || !std::isfinite(value)) {
    return value == 0 ? "0" : "-";
  }
  const double size = std::fabs(value);
  for (const Unit& unit : units) {
    if (size >= 0.9995 * unit.size || &unit == &units.back()) {
      return fmt::format("{}{} {}", value < 0 ? "-" : "", ThreeDigits(size / unit.size), unit.name);
    }
  }
  return "-";
}

}  // namespace

std::string HumanMs(double milliseconds) {
  constexpr std::array<Unit, 4> kUnits = {{{1e3, "s"}, {1, "ms"}, {1e-3, "us"}, {1e-6, "ns"}}};
  return Scaled(milliseconds, kUnits);
}

std::string HumanMs(std::optional<double> milliseconds) { return milliseconds ? HumanMs(*milliseconds) : "-"; }

std::string HumanDifference(double milliseconds) {
  return fmt::format("{}{}", milliseconds > 0 ? "+" : "", HumanMs(milliseconds));
}

std::string HumanRatio(std::optional<double> ratio) {
  return ratio && std::isfinite(*ratio) ? ThreeDigits(*ratio) : "-";
}

std::string HumanShare(double share) { return std::isfinite(share) ? fmt::format("{:.1f} %", 100 * share) : "-"; }

std::string HumanShareChange(double share) { return fmt::format("{:+.1f} %", 100 * share); }

std::string HumanCount(int64_t count) {
  std::string digits = fmt::format("{}", count);
  const int first = digits.front() == '-' ? 1 : 0;
  for (int at = static_cast<int>(digits.size()) - 3; at > first; at -= 3) {
    digits.insert(static_cast<size_t>(at), 1, ',');
  }
  return digits;
}

std::string HumanFlops(double tflops) {
  constexpr std::array<Unit, 4> kUnits = {{{1, "TF"}, {1e-3, "GF"}, {1e-6, "MF"}, {1e-9, "KF"}}};
  return Scaled(tflops, kUnits);
}

// Eighths of a block make a bar of ten characters 80 steps long.
std::string Bar(double share) {
  constexpr int kWidth = 10;
  static constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int eighths = static_cast<int>(std::lround(std::clamp(share, 0.0, 1.0) * kWidth * 8));
  std::string bar;
  for (int i = 0; i < eighths / 8; ++i) {
    bar += "█";
  }
  return bar + kEighths[eighths % 8];
}

}  // namespace dsocr::client
