#include "daemon/run/journal.h"

#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "fmt/format.h"
#include "gtest/gtest.h"

namespace dsocr::run {
namespace {

v1::Run RunIn(v1::RunState state, const std::string& id = "r") {
  v1::Run run;
  run.set_run_id(id);
  run.set_state(state);
  return run;
}

TEST(JournalTest, EveryReaderSeesEveryEventFromTheFirst) {
  Journal journal;
  journal.Publish(RunIn(v1::RUN_STATE_QUEUED), "one");
  journal.Publish(RunIn(v1::RUN_STATE_LOADING), "two", 0.5);
  const auto news = journal.Read("r", 0, absl::Now());
  ASSERT_TRUE(news.has_value());
  ASSERT_EQ(news->events.size(), 2u);
  EXPECT_EQ(news->events[0].message(), "one");
  EXPECT_EQ(news->events[1].progress(), 0.5);
  EXPECT_FALSE(news->has_ended);
}

TEST(JournalTest, ReaderWakesWhenSomethingHappens) {
  Journal journal;
  journal.Publish(RunIn(v1::RUN_STATE_QUEUED), "one");
  std::thread writer([&] { journal.Publish(RunIn(v1::RUN_STATE_DONE), "two"); });
  const auto news = journal.Read("r", 1, absl::InfiniteFuture());
  writer.join();
  ASSERT_EQ(news->events.size(), 1u);
  EXPECT_TRUE(news->has_ended);
}

TEST(JournalTest, ReaderOfAnEndedRunDoesNotWait) {
  Journal journal;
  journal.Publish(RunIn(v1::RUN_STATE_FAILED), "end");
  const auto news = journal.Read("r", 1, absl::InfiniteFuture());
  EXPECT_TRUE(news->events.empty());
  EXPECT_TRUE(news->has_ended);
}

TEST(JournalTest, UnknownRunIsNotKept) { EXPECT_FALSE(Journal().Read("r", 0, absl::InfiniteFuture()).has_value()); }

TEST(JournalTest, FloodOfProgressIsMergedIntoTheLastEvent) {
  Journal journal;
  for (size_t i = 0; i < Journal::kMaxEvents + 10; ++i) {
    journal.Publish(RunIn(v1::RUN_STATE_LOADING), fmt::format("{}", i));
  }
  journal.Publish(RunIn(v1::RUN_STATE_DONE), "end");
  const auto news = journal.Read("r", 0, absl::Now());
  EXPECT_EQ(news->events.size(), Journal::kMaxEvents + 1);
  EXPECT_EQ(news->events.back().message(), "end");
}

TEST(JournalTest, OldestFinishedRunsAreForgotten) {
  Journal journal;
  for (size_t i = 0; i <= Journal::kMaxFinishedRuns; ++i) {
    journal.Publish(RunIn(v1::RUN_STATE_DONE, fmt::format("r{}", i)), "end");
  }
  EXPECT_FALSE(journal.Find("r0").has_value());
  EXPECT_TRUE(journal.Find("r1").has_value());
  EXPECT_EQ(journal.CountFinished().at(v1::RUN_STATE_DONE), Journal::kMaxFinishedRuns + 1);
}

}  // namespace
}  // namespace dsocr::run
