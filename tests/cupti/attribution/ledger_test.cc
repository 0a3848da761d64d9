#include "cupti/attribution/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/cupti/attribution/recording.h"

namespace dsocr::attribution {
namespace {

using record::IncidentCode;
using ::testing::IsEmpty;
using ::testing::SizeIs;

void RunKernels(Recording& job, int count) {
  job.Push(100, "request");
  for (int i = 0; i < count; ++i) {
    job.Kernel(job.Owner(), 1000 + 10 * i, 1005 + 10 * i);
  }
  job.Pop(200);
}

// What the kernel's stream, the only one, came to.
StreamLedger RowOf(const Result& result) {
  if (!result.gpu.has_value() || result.gpu->streams.size() != 1) {
    ADD_FAILURE() << "not one stream";
    return {};
  }
  const StreamLedger& row = result.gpu->streams[0];
  EXPECT_EQ(row.launched, row.recorded + row.dropped + row.invalid + row.pending);
  return row;
}

TEST(LedgerTest, TheAgentsLastWordIsTheStreams) {
  Recording job(Options{});
  job.Ledger(2, 1, 0, 0, 1);
  RunKernels(job, 5);
  job.Ledger(10, 5, 2, 1, 2);
  const Result result = job.Finish();
  EXPECT_TRUE(result.gpu->launches_counted);
  const StreamLedger row = RowOf(result);
  EXPECT_EQ(row.stream, 7u);
  EXPECT_EQ(row.launched, 10);
  EXPECT_EQ(row.recorded, 5);
  EXPECT_EQ(row.dropped, 2);
  EXPECT_EQ(row.invalid, 1);
  EXPECT_EQ(row.pending, 2);
}

TEST(LedgerTest, WhatWasRecordedAndNeverArrivedIsDropped) {
  Recording job(Options{});
  RunKernels(job, 5);
  job.Ledger(8, 8, 0, 0, 0);
  const StreamLedger row = RowOf(job.Finish());
  EXPECT_EQ(row.recorded, 5);
  EXPECT_EQ(row.dropped, 3);
  EXPECT_EQ(row.launched, 8);
}

TEST(LedgerTest, WhatArrivedAndMadeNoSenseIsInvalid) {
  Recording job(Options{});
  RunKernels(job, 5);
  job.Kernel(0, 2000, 1000);
  job.Kernel(record::MakeOwner(60'000, 1), 2000, 2001);
  job.Ledger(8, 8, 0, 0, 0);
  const Result result = job.Finish();
  EXPECT_EQ(result.records_invalid, 2);
  const StreamLedger row = RowOf(result);
  EXPECT_EQ(row.recorded, 5);
  EXPECT_EQ(row.invalid, 2);
  EXPECT_EQ(row.dropped, 1);
  EXPECT_EQ(row.launched, 8);
}

TEST(LedgerTest, OfAKilledJobTheOperationsAfterTheAgentsWordWerePendingOrLaunchedLater) {
  Recording job(Options{});
  job.Ledger(6, 2, 0, 1, 3);
  RunKernels(job, 4);  // two of the pending came
  StreamLedger row = RowOf(job.Finish());
  EXPECT_EQ(row.recorded, 4);
  EXPECT_EQ(row.pending, 1);
  EXPECT_EQ(row.launched, 6);

  Recording later(Options{});
  later.Ledger(6, 2, 0, 1, 3);
  RunKernels(later, 10);
  row = RowOf(later.Finish());
  EXPECT_EQ(row.recorded, 10);
  EXPECT_EQ(row.pending, 0);
  EXPECT_EQ(row.launched, 11);
}

TEST(LedgerTest, AStreamThatTheAgentSaidNothingOfHasARowOfWhatWasSeen) {
  Recording job(Options{});
  RunKernels(job, 3);
  job.Kernel(0, 2000, 1000);
  const Result result = job.Finish();
  EXPECT_FALSE(result.gpu->launches_counted);
  const StreamLedger row = RowOf(result);
  EXPECT_EQ(row.recorded, 3);
  EXPECT_EQ(row.invalid, 1);
  EXPECT_EQ(row.launched, 4);
}

TEST(LedgerTest, ARowThatDoesNotCloseIsClosed) {
  Recording job(Options{});
  job.Ledger(10, 2, 0, 0, 0);  // five nobody knows of
  RunKernels(job, 5);
  const StreamLedger row = RowOf(job.Finish());
  EXPECT_EQ(row.launched, 10);
  EXPECT_EQ(row.pending, 5);
}

TEST(LedgerTest, RowsAreByStreamAndTheOneOfNoStreamIsMarked) {
  Recording job(Options{});
  RunKernels(job, 1);
  job.Kernel(0, 3000, 3001, "sgemm", 9);
  job.Ledger(0, 0, 4, 0, 0, record::kAllStreams);
  const Result result = job.Finish();
  ASSERT_THAT(result.gpu->streams, SizeIs(3));
  EXPECT_EQ(result.gpu->streams[0].stream, 7u);
  EXPECT_EQ(result.gpu->streams[1].stream, 9u);
  EXPECT_EQ(result.gpu->streams[2].stream, std::nullopt);
  EXPECT_EQ(result.gpu->streams[2].launched, 4);
}

TEST(LedgerTest, LaunchesAreNotCountedWhereAnotherToolHearsThem) {
  Recording refused(Options{});
  RunKernels(refused, 2);
  refused.Incident(IncidentCode::kSubscriberRefused, "nsys", 0, 1);
  refused.Ledger(2, 2, 0, 0, 0);
  EXPECT_FALSE(refused.Finish().gpu->launches_counted);

  Recording uncounted(Options{});
  RunKernels(uncounted, 2);
  uncounted.Ledger(0, 2, 0, 0, 0);
  EXPECT_FALSE(uncounted.Finish().gpu->launches_counted);
}

TEST(LedgerTest, StreamsBeyondTheLimitAreOneRow) {
  Recording job(Options{});
  job.Push(100, "request");
  for (uint32_t stream = 0; stream < 5000; ++stream) {
    job.Kernel(job.Owner(), 1000, 1001, "sgemm", stream);
  }
  const Result result = job.Finish();
  EXPECT_LE(result.gpu->streams.size(), 1025u);
  int64_t recorded = 0;
  for (const StreamLedger& row : result.gpu->streams) {
    recorded += row.recorded;
  }
  EXPECT_EQ(recorded, 5000);
}

// --- What else is said of the run
// ---------------------------------------------------------------------------------------

TEST(RunSumsTest, AddsWaitsAndOverheadAndFindsTheMemorysPeak) {
  Recording job(Options{});
  job.Wait(100, 130);
  job.Wait(200, 220);
  job.Wait(300, 290);
  job.Overhead(400, 407);
  job.Memory(-50);  // from before the recording
  job.Memory(1000);
  job.Memory(500);
  job.Memory(-1000);
  job.Memory(700);
  job.Memory(std::numeric_limits<int64_t>::max());
  const Result result = job.Finish();
  ASSERT_TRUE(result.gpu.has_value());
  EXPECT_EQ(result.gpu->wait_ns, 50);
  EXPECT_EQ(result.gpu->overhead_ns, 7);
  EXPECT_EQ(result.gpu->memory_peak_bytes, 1500);
  EXPECT_EQ(result.records_invalid, 2) << "a reversed wait, an allocation that cannot be";
  EXPECT_EQ(result.request.operations, 0) << "none of it is an operation";
}

TEST(RunSumsTest, KeepsTheLastCountOfEachIncidentInOrderOfFirstAppearance) {
  Recording job(Options{});
  job.Incident(IncidentCode::kStalled, "", 12, 1);
  job.Incident(IncidentCode::kSubscriberRefused, "nsys", 0, 1);
  job.Incident(IncidentCode::kStalled, "", 40, 3);
  const Result result = job.Finish();
  ASSERT_THAT(result.incidents, SizeIs(2));
  EXPECT_EQ(result.incidents[0].code, IncidentCode::kStalled);
  EXPECT_EQ(result.incidents[0].value, 40);
  EXPECT_EQ(result.incidents[0].count, 3);
  EXPECT_EQ(result.incidents[1].name, "nsys");
  EXPECT_FALSE(result.gpu.has_value()) << "no GPU source was on";
}

TEST(RunSumsTest, KeepsAtMost64Incidents) {
  Recording job(Options{});
  for (int i = 0; i < 100; ++i) {
    job.Incident(IncidentCode::kUnknownKind, "kind " + std::to_string(i), i, 1);
  }
  job.Incident(static_cast<IncidentCode>(99), "", 0, 1);
  job.Incident(static_cast<IncidentCode>(0), "", 0, 1);
  const Result result = job.Finish();
  EXPECT_THAT(result.incidents, SizeIs(64));
  EXPECT_EQ(result.records_invalid, 2);
}

TEST(RunSumsTest, PassesOnWhatTheAgentTook) {
  Recording job(Options{});
  job.AgentCost({1, 100, 200, 300, 4, 4});
  job.AgentCost({2, 1000, 2000, 3000, 4, 4});
  job.AgentCost({3, ~uint64_t{0}, 0, 0, 0, 0});  // nonsense
  job.AgentCost({3, 0, 0, 0, 1, 2});             // more recorded than seen
  const Result result = job.Finish();
  EXPECT_EQ(result.agent.callback_ns, 1000);
  EXPECT_EQ(result.agent.decode_ns, 2000);
  EXPECT_EQ(result.agent.memory_bytes, 3000);
  EXPECT_EQ(result.records_invalid, 2);
  EXPECT_FALSE(result.sampling.has_value()) << "all were recorded";
  EXPECT_THAT(result.incidents, IsEmpty());
}

}  // namespace
}  // namespace dsocr::attribution
