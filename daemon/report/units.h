// The edge where base units become those of the contract's field names.
#ifndef DSOCR_DAEMON_REPORT_UNITS_H_
#define DSOCR_DAEMON_REPORT_UNITS_H_

#include <cmath>
#include <cstdint>

namespace dsocr::report {

inline double Milliseconds(double ns) { return ns / 1e6; }
inline double Milliseconds(int64_t ns) {
  return static_cast<double>(ns) / 1e6;
}  // exact to the nanosecond for 104 days
inline int64_t Nanoseconds(double ms) {
  return std::llround(ms * 1e6);
}  // of a measured time: what it was printed from
inline double Tflops(int64_t flops) { return static_cast<double>(flops) / 1e12; }
inline double Terabits(int64_t bytes) { return static_cast<double>(bytes) * 8 / 1e12; }
inline double Gigabytes(int64_t bytes) { return static_cast<double>(bytes) / 1e9; }

// 0 of nothing is 0.
inline double Share(double part, double whole) { return whole > 0 ? part / whole : 0; }

}  // namespace dsocr::report

#endif  // DSOCR_DAEMON_REPORT_UNITS_H_
