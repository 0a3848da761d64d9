// Numbers for people: three significant digits and a unit.
#ifndef DSOCR_CLIENT_RENDER_UNITS_H_
#define DSOCR_CLIENT_RENDER_UNITS_H_

#include <cstdint>
#include <optional>
#include <string>

namespace dsocr::client {

std::string HumanMs(double milliseconds);                 // 12.5 s, 500 ms, 3.25 ms, 40.0 us, 0
std::string HumanMs(std::optional<double> milliseconds);  // "-" where there is none
std::string HumanRatio(std::optional<double> ratio);      // 0.96
std::string HumanShare(double share);                     // 40.0 %
std::string HumanShareChange(double share);               // +4.0 %
std::string HumanCount(int64_t count);                    // 92,688
std::string HumanFlops(double tflops);                    // 3.50 TF, 69.0 GF

std::string HumanDifference(double milliseconds);  // +12.5 s, -3.25 ms, 0
std::string Bar(double share);                     // of ten characters: ████▌

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_RENDER_UNITS_H_
