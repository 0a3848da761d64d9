// Records that no agent sends: whatever comes, nothing crashes, sums close, ledgers close. Under the sanitizers this is
// where they have something to find.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "cupti/attribution/attribution.h"

namespace dsocr::attribution {
namespace {

using record::Kind;
using record::Record;

// Mostly plausible numbers, so that records come past the first check and meet each other.
class HostileAgent {
 public:
  explicit HostileAgent(uint32_t seed) : random_(seed) {}

  Record Next() {
    Record record{};
    record.kind = static_cast<Kind>(random_() % (record::kLastKind + 2));
    record.device = static_cast<uint16_t>(Few());
    record.thread = Few();
    switch (record.kind) {
      case Kind::kNameDefinition:
        record.name_definition.name = names_ + (Odd() ? 1 : 0);
        record.name_definition.total_bytes = static_cast<uint16_t>(Odd() ? random_() : 1 + random_() % 40);
        record.name_definition.offset = static_cast<uint16_t>(Odd() ? random_() : 0);
        std::memset(record.name_definition.bytes, static_cast<int>('a' + random_() % 8), 40);
        names_ += names_ < 200 && record.name_definition.name == names_ && record.name_definition.offset == 0 &&
                          record.name_definition.total_bytes >= 1 && record.name_definition.total_bytes <= 40
                      ? 1
                      : 0;
        break;
      case Kind::kPathDefinition:
        record.path_definition = {paths_, Odd() ? Any32() : static_cast<uint32_t>(random_() % paths_),
                                  Odd() ? Any32() : static_cast<uint32_t>(random_() % names_), 0};
        paths_ += record.path_definition.parent < paths_ && record.path_definition.name > 0 &&
                          record.path_definition.name < names_ && paths_ < 200
                      ? 1
                      : 0;
        break;
      case Kind::kRangePush:
      case Kind::kRangePop:
        record.range = {Time(), Owner(), Odd() ? Any64() : 0};
        break;
      case Kind::kCpuOperation:
      case Kind::kKernel:
      case Kind::kCopy:
      case Kind::kSet:
      case Kind::kWait:
      case Kind::kOverhead:
        record.operation.start_ns = Time();
        record.operation.end_ns = Odd() ? Time() : record.operation.start_ns + static_cast<int64_t>(random_() % 1000);
        record.operation.owner = Owner();
        record.operation.name = Odd() ? Any32() : static_cast<uint32_t>(random_() % names_);
        record.operation.stream = Few();
        record.operation.context = Few();
        record.operation.detail = Odd() ? Any64() : random_() % 50;
        record.operation.correlation = Odd() ? Any32() : static_cast<uint32_t>(random_() % 100);
        break;
      case Kind::kGraphNode:
        record.graph_node = {Odd() ? Any64() : random_() % 50, Owner(), Few(), 0};
        break;
      case Kind::kGraphGone:
        record.graph_gone = {Few(), 0};
        break;
      case Kind::kGraphLaunch:
        record.graph_launch = {Time(), Owner(), Any32(), Few(), Any32(), 0};
        break;
      case Kind::kMemory:
        record.memory = {Time(), Owner(), Any64(), static_cast<int64_t>(Any64())};
        break;
      case Kind::kLedger:
        record.ledger = {Count(), Count(), Count(), Count(), Few(), Few(), Count()};
        break;
      case Kind::kIncident:
        record.incident = {Time(), static_cast<record::IncidentCode>(Few()), Few(), static_cast<int64_t>(Any64()),
                           Count()};
        break;
      default:
        for (uint64_t& word : record.words) {
          word = Any64();
        }
    }
    return record;
  }

 private:
  bool Odd() { return random_() % 16 == 0; }
  uint64_t Any64() { return random_() >> random_() % 64; }
  uint32_t Any32() { return static_cast<uint32_t>(random_()); }
  uint32_t Few() { return Odd() ? Any32() : static_cast<uint32_t>(random_() % 6); }
  uint64_t Count() { return Odd() ? Any64() : random_() % 1000; }
  int64_t Time() {
    now_ns_ += static_cast<int64_t>(random_() % 500);
    return Odd() ? static_cast<int64_t>(Any64()) : now_ns_ - static_cast<int64_t>(random_() % 5000);
  }
  record::Owner Owner() {
    return Odd() ? Any64() : record::MakeOwner(static_cast<record::PathId>(random_() % paths_), random_() % 64);
  }

  std::mt19937_64 random_;
  record::NameId names_ = 1;
  record::PathId paths_ = 1;
  int64_t now_ns_ = 1'000'000;
};

void ExpectClosed(const Result& result) {
  int64_t self_ns = 0;
  for (const ModuleSum& module : result.request.modules) {
    self_ns += module.self_device_ns;
    int64_t by_category_ns = 0;
    for (const CategorySum& category : module.categories) {
      by_category_ns += category.device_ns;
    }
    ASSERT_EQ(by_category_ns, module.device_ns);
    ASSERT_GE(module.device_ns, module.self_device_ns);
    ASSERT_LE(module.inferred_ns, module.device_ns);
    ASSERT_LE(module.inferred_confidence, 1.0);
  }
  ASSERT_EQ(self_ns, result.request.attributed_ns);
  ASSERT_GE(result.request.sync_gap_ns, 0);
  ASSERT_LE(result.request.sync_gap_ns, result.request.total_ns);
  if (result.gpu.has_value()) {
    for (const StreamLedger& row : result.gpu->streams) {
      ASSERT_EQ(row.launched, row.recorded + row.dropped + row.invalid + row.pending);
      ASSERT_GE(std::min({row.recorded, row.dropped, row.invalid, row.pending}), 0);
    }
  }
  if (result.sampling.has_value()) {
    ASSERT_LE(result.sampling->device_ns_low, result.sampling->device_ns);
    ASSERT_LE(result.sampling->device_ns, result.sampling->device_ns_high);
  }
}

TEST(HostileTest, WhateverComesTheSumsClose) {
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    HostileAgent agent(seed);
    Options options;
    if (seed % 2 == 0) {
      options.request_range = "a";
    }
    if (seed % 3 == 0) {
      options.expected_step = {{{"b", "c"}, {"gemm", "other"}, 2}, {{"b"}, {"other"}, 1}};
    }
    Attribution attribution(options);
    constexpr int kRecords = 20'000;
    for (int i = 0; i < kRecords; ++i) {
      attribution.Consume(agent.Next());
    }
    const Result result = attribution.Finish();
    EXPECT_EQ(result.records_received, kRecords);
    ExpectClosed(result);
    if (seed % 2 == 1) {
      ASSERT_TRUE(result.gpu.has_value());
      int64_t recorded = 0;
      for (const StreamLedger& row : result.gpu->streams) {
        recorded += row.recorded;
      }
      EXPECT_EQ(recorded, result.request.operations) << "where all is one request, the ledger's are all of it";
    }
  }
}

TEST(HostileTest, RandomBytesAreRecordsToo) {
  std::mt19937_64 random(1);
  Attribution attribution(Options{});
  for (int i = 0; i < 100'000; ++i) {
    Record record;
    uint64_t bytes[7];
    for (uint64_t& word : bytes) {
      word = random();
    }
    std::memcpy(static_cast<void*>(&record), bytes, sizeof(record));
    record.kind = static_cast<Kind>(random() % (record::kLastKind + 1));
    attribution.Consume(record);
  }
  ExpectClosed(attribution.Finish());
}

TEST(HostileTest, OperationsWhoseTimesDoNotFitTogetherAreRefused) {
  Attribution attribution(Options{});
  Record record{};
  record.kind = Kind::kKernel;
  record.operation.start_ns = 1;
  record.operation.end_ns = int64_t{1} << 50;
  for (int i = 0; i < 20'000; ++i) {
    attribution.Consume(record);
  }
  const Result result = attribution.Finish();
  EXPECT_LE(result.request.unattributed_ns, int64_t{1} << 62);
  EXPECT_GT(result.records_invalid, 0);
  EXPECT_EQ(result.records_invalid + result.request.operations, 20'000);
}

}  // namespace
}  // namespace dsocr::attribution
