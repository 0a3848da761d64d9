#include "daemon/run/journal.h"

#include <utility>

namespace dsocr::run {

bool IsFinal(v1::RunState state) {
  return state == v1::RUN_STATE_DONE || state == v1::RUN_STATE_FAILED || state == v1::RUN_STATE_CANCELLED;
}

void Journal::Publish(const v1::Run& run, std::string message, std::optional<double> progress,
                      std::vector<v1::LiveModule> modules) {
  v1::RunEvent event;
  *event.mutable_run() = run;
  event.set_message(std::move(message));
  if (progress) {
    event.set_progress(*progress);
  }
  event.mutable_modules()->Assign(modules.begin(), modules.end());
  absl::MutexLock lock(&mutex_);
  std::vector<v1::RunEvent>& events = histories_[run.run_id()].events;
  if (!events.empty()) {
    events.back().clear_modules();
  }
  const bool is_flood = events.size() >= kMaxEvents && events.back().run().state() == run.state();
  if (is_flood) {
    events.back() = std::move(event);
  } else {
    events.push_back(std::move(event));
  }
  if (IsFinal(run.state())) {
    ++finished_count_[run.state()];
    finished_.push_back(run.run_id());
    if (finished_.size() > kMaxFinishedRuns) {
      histories_.erase(finished_.front());
      finished_.pop_front();
    }
  }
}

std::optional<Journal::News> Journal::Read(const std::string& run_id, size_t from, absl::Time until) {
  absl::MutexLock lock(&mutex_);
  const auto has_news = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto found = histories_.find(run_id);
    return found == histories_.end() || found->second.events.size() > from || found->second.has_ended();
  };
  mutex_.AwaitWithDeadline(absl::Condition(&has_news), until);
  const auto found = histories_.find(run_id);
  if (found == histories_.end()) {
    return std::nullopt;
  }
  News news;
  const std::vector<v1::RunEvent>& events = found->second.events;
  if (from < events.size()) {
    news.events.assign(events.begin() + static_cast<std::ptrdiff_t>(from), events.end());
  }
  news.has_ended = found->second.has_ended();
  return news;
}

std::map<v1::RunState, int64_t> Journal::CountFinished() {
  absl::MutexLock lock(&mutex_);
  return finished_count_;
}

std::optional<v1::Run> Journal::Find(const std::string& run_id) {
  absl::MutexLock lock(&mutex_);
  const auto found = histories_.find(run_id);
  return found == histories_.end() ? std::nullopt : std::optional(found->second.events.back().run());
}

}  // namespace dsocr::run
