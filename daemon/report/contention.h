// What others did to the request that a report shows.
#ifndef DSOCR_DAEMON_REPORT_CONTENTION_H_
#define DSOCR_DAEMON_REPORT_CONTENTION_H_

#include <cstdint>

namespace dsocr::report {

// It counts against the operators that ran meanwhile, each by its time.
struct Contention {
  int64_t off_cpu_ns = 0;  // the request's thread had no core
  // How many times as long a matrix product, and a copy, took around the request as when the device was calibrated.
  double product_slowdown = 1;
  double traffic_slowdown = 1;
};

}  // namespace dsocr::report

#endif  // DSOCR_DAEMON_REPORT_CONTENTION_H_
