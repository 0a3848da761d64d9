#include "daemon/attach/request_counter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "tests/daemon/attach/job_modules.h"
#include "tests/daemon/attach/published_job.h"

namespace dsocr::attach {
namespace {

using testing::Eq;
using testing::Optional;

constexpr int64_t kNow = 5'000'000'000;
constexpr int64_t kSoon = kNow + RequestCounter::kIdleNs - 1;
constexpr int64_t kLater = kNow + RequestCounter::kIdleNs;

// A job that has told its modules; what it does from then on arrives at kNow.
RecordedJob PublishedJob() {
  RecordedJob job;
  job.Tell(GoldenModules("published_tiny_a.tsv"));
  return job;
}

RequestCounter Counted(const RecordedJob& job) {
  RequestCounter counter(std::nullopt);
  counter.Consume(job.records(), kNow);
  return counter;
}

void Step(RecordedJob& job) {
  job.Begin("DeepseekOCRForCausalLM", {1, 1});
  job.Begin("model", {1, 1});
  Language(job);
  job.End();
  job.End();
}

TEST(RequestCounterTest, ARequestIsAPrefillWithItsDecodeSteps) {
  RecordedJob job = PublishedJob();
  Request(job, 128, 5, 4);
  Request(job, 99, 0);
  Request(job, 128, 7);
  EXPECT_THAT(Counted(job).Ended(kSoon), Optional(Eq(2))) << "the third may have another step";
}

TEST(RequestCounterTest, TheLastRequestIsOverWhenTheModelIsIdle) {
  RecordedJob job = PublishedJob();
  Request(job, 128, 3);
  EXPECT_THAT(Counted(job).Ended(kSoon), Optional(Eq(0)));
  EXPECT_THAT(Counted(job).Ended(kLater), Optional(Eq(1)));
}

TEST(RequestCounterTest, AStepThatTakesLongIsNoIdleness) {
  RecordedJob job = PublishedJob();
  Request(job, 128, 3);
  job.Begin("DeepseekOCRForCausalLM", {1, 1});
  job.Begin("model", {1, 1});
  EXPECT_THAT(Counted(job).Ended(kLater), Optional(Eq(0)));
}

TEST(RequestCounterTest, AStepAfterIdlenessDoesNotCountItsRequestAgain) {
  RecordedJob job = PublishedJob();
  Request(job, 128, 3);
  Step(job);
  Request(job, 128, 3);
  EXPECT_THAT(Counted(job).Ended(kLater), Optional(Eq(2)));
}

TEST(RequestCounterTest, WhatBeganBeforeTheRecordingIsNoWholeRequest) {
  RecordedJob job = PublishedJob();
  Step(job);
  Step(job);
  EXPECT_THAT(Counted(job).Ended(kLater), Optional(Eq(0)));
  Request(job, 128, 2);
  EXPECT_THAT(Counted(job).Ended(kLater), Optional(Eq(1)));
}

// An agent that comes in the middle of a call tells that it is open, and not what it was called with.
TEST(RequestCounterTest, APrefillThatWasUnderWayIsNoWholeRequest) {
  RecordedJob job = PublishedJob();
  job.Begin("DeepseekOCRForCausalLM");
  job.Begin("model");
  job.Begin("model.layers.0", {1, 128, 64});
  job.End();
  job.End();
  job.End();
  Step(job);
  EXPECT_THAT(Counted(job).Ended(kLater), Optional(Eq(0)));
  Request(job, 128, 2);
  EXPECT_THAT(Counted(job).Ended(kSoon), Optional(Eq(0)));
  EXPECT_THAT(Counted(job).Ended(kLater), Optional(Eq(1)));
}

TEST(RequestCounterTest, WithoutShapesTheVisionTellsPrefill) {
  RecordedJob job = PublishedJob();
  Step(job);
  for (int i = 0; i < 2; ++i) {
    job.Begin("DeepseekOCRForCausalLM");
    job.Begin("model");
    job.Run("model.sam_model", 10);
    job.End();
    job.End();
  }
  EXPECT_THAT(Counted(job).Ended(kLater), Optional(Eq(2)));
}

TEST(RequestCounterTest, AJobOfAnotherModelIsNotCounted) {
  RecordedJob job;
  job.Tell({{.path = "", .type = "Toy"}, {.path = "head", .type = "Linear", .weight_shape = {8, 32}}});
  job.Run("Toy", 10, {8, 32});
  EXPECT_EQ(Counted(job).Ended(kLater), std::nullopt);
}

TEST(RequestCounterTest, AUsersMapSaysWhatAModuleIs) {
  RecordedJob job = PublishedJob();
  Request(job, 128, 3);
  RequestCounter counter(*ModuleMap::Parse("lm_head: {phase}/lm_head", "mine"));
  counter.Consume(job.records(), kNow);
  EXPECT_EQ(counter.Ended(kLater), std::nullopt) << "no line says where the embedding is";
}

TEST(RequestCounterTest, WhatAnEngineCallsOutsideOfTheModelIsNoPass) {
  RecordedJob job;
  job.Tell(GoldenModules("vllm_names_job.tsv"));
  for (const uint32_t tokens : {24, 1, 1, 24, 1}) {
    job.Run("language_model.model.embed_tokens", 3, {tokens});
    job.Run("DeepseekOCRForCausalLM", 20, {tokens});
    job.Run("language_model.logits_processor", 7, {1, 80});
  }
  EXPECT_THAT(Counted(job).Ended(kSoon), Optional(Eq(1)));
  EXPECT_THAT(Counted(job).Ended(kLater), Optional(Eq(2)));
}

TEST(RequestCounterTest, HostileRecordsAreCountedOrLeftOut) {
  RecordedJob job = PublishedJob();
  Request(job, 128, 2, 2);
  std::mt19937_64 random(1);
  for (int round = 0; round < 40; ++round) {
    std::vector<record::Record> records = job.records();
    for (int change = 0; change < 20; ++change) {
      record::Record& record = records[random() % records.size()];
      record.words[random() % 6] = random() >> random() % 64;
      record.thread = random() % 4 == 0 ? static_cast<uint32_t>(random() >> random() % 64) : record.thread;
    }
    RequestCounter counter(std::nullopt);
    counter.Consume(records, kNow);
    EXPECT_LE(counter.Ended(kLater).value_or(0), 2 + 20);
  }
}

}  // namespace
}  // namespace dsocr::attach
