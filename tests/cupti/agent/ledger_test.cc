#include "cupti/agent/ledger.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <thread>
#include <vector>

namespace dsocr::agent {
namespace {

constexpr uint32_t kSlots = 1 << 10;

class LedgerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fd_ = recorder_.Start(kSlots);
    ASSERT_GE(fd_, 0);
    memory_ = mmap(nullptr, record::RingBytes(kSlots), PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
    ASSERT_NE(memory_, MAP_FAILED);
    ASSERT_TRUE(record::RingReader::Open(memory_, record::RingBytes(kSlots), &reader_));
  }
  void TearDown() override {
    munmap(memory_, record::RingBytes(kSlots));
    close(fd_);
  }

  // What Write says of each stream.
  std::map<uint32_t, record::Ledger> Rows(bool launches_are_counted = true) {
    ledger_->Write(recorder_, launches_are_counted);
    std::vector<record::Record> records(kSlots);
    records.resize(reader_.Read(records.data(), records.size()));
    std::map<uint32_t, record::Ledger> rows;
    for (const record::Record& record : records) {
      EXPECT_EQ(record.kind, record::Kind::kLedger);
      const record::Ledger& row = record.ledger;
      if (launches_are_counted) {
        EXPECT_EQ(row.launched, row.recorded + row.dropped + row.invalid + row.pending) << "stream " << row.stream;
      }
      rows[row.stream] = row;
    }
    return rows;
  }

  int fd_ = -1;
  void* memory_ = nullptr;
  Recorder recorder_;
  record::RingReader reader_;
  const std::unique_ptr<StreamLedger> ledger_ = std::make_unique<StreamLedger>();
};

TEST_F(LedgerTest, ARowIsAStream) {
  const uint16_t row = ledger_->Row(0, 1, 7);
  EXPECT_EQ(ledger_->Row(0, 1, 7), row);
  EXPECT_NE(ledger_->Row(0, 1, 8), row);
  EXPECT_NE(ledger_->Row(1, 1, 7), row);
}

TEST_F(LedgerTest, EveryLaunchEndsSomewhere) {
  const uint16_t row = ledger_->Row(0, 1, 7);
  ledger_->AddLaunched(row, 10);
  for (int i = 0; i < 5; ++i) {
    ledger_->AddRecorded(row, row);
  }
  ledger_->AddDropped(row, row);
  ledger_->AddInvalid(row, row);
  const record::Ledger of_stream = Rows().at(7);
  EXPECT_EQ(of_stream.launched, 10u);
  EXPECT_EQ(of_stream.recorded, 5u);
  EXPECT_EQ(of_stream.dropped, 1u);
  EXPECT_EQ(of_stream.invalid, 1u);
  EXPECT_EQ(of_stream.pending, 3u);
}

TEST_F(LedgerTest, AnOperationThatRanElsewhereIsLaunchedThere) {
  const uint16_t launched_on = ledger_->Row(0, 1, 7);
  const uint16_t branch = ledger_->Row(0, 1, 13);
  ledger_->AddLaunched(launched_on, 2);
  ledger_->AddRecorded(launched_on, launched_on);
  ledger_->AddRecorded(branch, launched_on);
  auto rows = Rows();
  EXPECT_EQ(rows.at(7).launched, 1u);
  EXPECT_EQ(rows.at(13).launched, 1u);
  EXPECT_EQ(rows.at(7).pending + rows.at(13).pending, 0u);
}

TEST_F(LedgerTest, ARecordWithoutALaunchShowsThatThereWasOne) {
  ledger_->AddRecorded(ledger_->Row(0, 1, 7), StreamLedger::kUncounted);
  EXPECT_EQ(Rows().at(7).launched, 1u);
}

TEST_F(LedgerTest, WhatCuptiLostIsAmongThePending) {
  const uint16_t a = ledger_->Row(0, 1, 7);
  const uint16_t b = ledger_->Row(0, 1, 8);
  ledger_->AddLaunched(a, 3);
  ledger_->AddLaunched(b, 4);
  ledger_->AddLost(5);
  auto rows = Rows();
  EXPECT_EQ(rows.at(7).dropped + rows.at(8).dropped, 5u);
  EXPECT_EQ(rows.at(7).pending + rows.at(8).pending, 2u);
  EXPECT_EQ(rows.at(7).launched + rows.at(8).launched, 7u);
}

TEST_F(LedgerTest, MoreLostThanPendingWasLaunchedUnseen) {
  ledger_->AddLost(5);
  const record::Ledger row = Rows().at(record::kAllStreams);
  EXPECT_EQ(row.launched, 5u);
  EXPECT_EQ(row.dropped, 5u);
}

TEST_F(LedgerTest, WithoutCountedLaunchesThereAreNoneToReport) {
  ledger_->AddRecorded(ledger_->Row(0, 1, 7), StreamLedger::kUncounted);
  const record::Ledger row = Rows(/*launches_are_counted=*/false).at(7);
  EXPECT_EQ(row.launched, 0u);
  EXPECT_EQ(row.recorded, 1u);
}

TEST_F(LedgerTest, ClosesWithLaunchersAndADecoderAtWork) {
  const uint16_t row = ledger_->Row(0, 1, 7);
  constexpr int kThreads = 4;
  constexpr int kLaunches = 20'000;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, row] {
      for (int i = 0; i < kLaunches; ++i) {
        ledger_->AddLaunched(row, 1);
      }
    });
  }
  threads.emplace_back([this, row] {
    for (int i = 0; i < kThreads * kLaunches; ++i) {
      ledger_->AddRecorded(row, row);
    }
  });
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(Rows().at(7).recorded, static_cast<uint64_t>(kThreads * kLaunches));
}

}  // namespace
}  // namespace dsocr::agent
