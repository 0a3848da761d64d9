// What happened in each run, event by event, for everybody who watches.
#ifndef DSOCR_DAEMON_RUN_JOURNAL_H_
#define DSOCR_DAEMON_RUN_JOURNAL_H_

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "dsocr/v1/profile.pb.h"

namespace dsocr::run {

bool IsFinal(v1::RunState state);

// Thread-safe. Events of finished runs are kept for a while, those of the oldest are dropped first.
class Journal {
 public:
  // A runner reports some dozens; one that floods has its progress events merged into the last.
  static constexpr size_t kMaxEvents = 4096;
  static constexpr size_t kMaxFinishedRuns = 32;

  // Appends an event of `run`; the first one of a run id opens its list, one with a final state closes it.
  // `modules`: of a live job; the run's events before lose theirs.
  void Publish(const v1::Run& run, std::string message, std::optional<double> progress = std::nullopt,
               std::vector<v1::LiveModule> modules = {});

  // The events from number `from` on, as soon as there is one or the run has ended, or empty at `until`; nullopt if no
  // such run is kept.
  struct News {
    std::vector<v1::RunEvent> events;
    bool has_ended = false;  // no event comes after these
  };
  std::optional<News> Read(const std::string& run_id, size_t from, absl::Time until);

  // As last published; nullopt if no such run is kept.
  std::optional<v1::Run> Find(const std::string& run_id);

  std::map<v1::RunState, int64_t> CountFinished();  // by final state, those that are dropped included

 private:
  struct History {
    std::vector<v1::RunEvent> events;  // never empty
    bool has_ended() const { return IsFinal(events.back().run().state()); }
  };

  absl::Mutex mutex_;
  std::map<std::string, History> histories_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::string> finished_ ABSL_GUARDED_BY(mutex_);  // oldest first
  std::map<v1::RunState, int64_t> finished_count_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace dsocr::run

#endif  // DSOCR_DAEMON_RUN_JOURNAL_H_
