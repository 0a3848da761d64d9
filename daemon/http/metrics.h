// /metrics: what the daemon counts, in the text format of Prometheus (version 0.0.4).
//
// The Prometheus client library of Debian would bring a web server and libcurl into a daemon that rests under 28 MiB;
// the format is one line a figure.
#ifndef DSOCR_DAEMON_HTTP_METRICS_H_
#define DSOCR_DAEMON_HTTP_METRICS_H_

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace dsocr::http {

inline constexpr std::string_view kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

// Counts calls, and how long they took. Thread-safe.
class CallLog {
 public:
  // Upper bounds of the histogram, in seconds: a look-up takes one millisecond, a report with its artifacts a hundred.
  static constexpr std::array<double, 7> kBuckets = {0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0};

  // `transport`: grpc or http; `method`: one of a fixed set, so that no client can make the log grow; `code`: the word
  // or number of the outcome.
  void Add(std::string_view transport, std::string_view method, std::string_view code, absl::Duration duration);

  // dsocrd_calls_total and dsocrd_call_duration_seconds.
  std::string Text() const;

 private:
  struct Calls {
    std::map<std::string, int64_t, std::less<>> by_code;
    std::array<int64_t, kBuckets.size() + 1> by_bucket = {};  // the last one: longer than all
    double seconds = 0;
  };
  using Labels = std::string;  // transport="http",method="GET /metrics"

  mutable absl::Mutex mutex_;
  std::map<Labels, Calls> calls_ ABSL_GUARDED_BY(mutex_);
};

// What the parts of the daemon know at this moment.
struct Figures {
  std::string version;
  double uptime_s = 0;
  int64_t reports = 0;
  int64_t runs_active = 0;
  std::map<std::string, int64_t> runs_finished;  // since the start, by state: done, failed, cancelled
  int64_t records_received = 0;                  // of the sessions that have ended since the start
  int64_t records_dropped = 0;
  int64_t records_invalid = 0;
  int64_t operations_launched = 0;  // of GPUs: launched = recorded + dropped + invalid + pending
  int64_t operations_recorded = 0;
  int64_t operations_dropped = 0;
  int64_t operations_invalid = 0;
  int64_t operations_pending = 0;
  std::map<std::string, int64_t> incidents;  // by code
  int64_t http_connections = 0;
  int64_t http_connections_refused = 0;
};

// All of them, those of `calls`, and memory and processor time of this process.
std::string MetricsText(const Figures& figures, const CallLog& calls);

}  // namespace dsocr::http

#endif  // DSOCR_DAEMON_HTTP_METRICS_H_
