// How many requests of a process are over, while its records come.
#ifndef DSOCR_DAEMON_COLLECT_REQUEST_COUNTER_H_
#define DSOCR_DAEMON_COLLECT_REQUEST_COUNTER_H_

#include <cstdint>
#include <optional>
#include <span>

#include "cupti/record/record.h"

namespace dsocr::collect {

// Times are the daemon's own, of one steady clock. One caller at a time. What is consumed is hostile.
class RequestCounter {
 public:
  virtual ~RequestCounter() = default;

  // Records in their order, which arrived at `now_ns`.
  virtual void Consume(std::span<const record::Record> records, int64_t now_ns) = 0;

  // Those that are over, if nothing but what was consumed has happened until `now_ns`. nullopt: it cannot tell (yet)
  // what a request of this process is.
  virtual std::optional<int64_t> Ended(int64_t now_ns) const = 0;
};

}  // namespace dsocr::collect

#endif  // DSOCR_DAEMON_COLLECT_REQUEST_COUNTER_H_
