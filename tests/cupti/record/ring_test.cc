#include "cupti/record/ring.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <thread>
#include <vector>

#include "cupti/record/message.h"

namespace dsocr::record {
namespace {

constexpr uint32_t kSlots = 64;

// Shared memory as the agent makes it, zeroed.
class RingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    memory_ = mmap(nullptr, RingBytes(kSlots), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory_, MAP_FAILED);
    writer_ = RingWriter::Create(memory_, kSlots);
    ASSERT_TRUE(RingReader::Open(memory_, RingBytes(kSlots), &reader_));
  }
  void TearDown() override { munmap(memory_, RingBytes(kSlots)); }

  static Record Numbered(uint32_t thread, uint64_t number) {
    Record record{};
    record.kind = Kind::kRangePush;
    record.thread = thread;
    record.range.owner = number;
    return record;
  }
  RingSlot& slot(size_t index) {
    return reinterpret_cast<RingSlot*>(static_cast<char*>(memory_) + kRingHeaderBytes)[index];
  }
  RingHeader& header() { return *static_cast<RingHeader*>(memory_); }

  void* memory_ = nullptr;
  RingWriter writer_;
  RingReader reader_;
};

TEST_F(RingTest, GivesBackWhatWasWrittenInOrder) {
  Record records[8];
  EXPECT_EQ(reader_.Read(records, 8), 0u);
  for (uint64_t i = 0; i < 5; ++i) {
    ASSERT_TRUE(writer_.Write(Numbered(3, i)));
  }
  ASSERT_EQ(reader_.Read(records, 8), 5u);
  EXPECT_EQ(records[4].range.owner, 4u);
  EXPECT_EQ(records[4].thread, 3u);
}

TEST_F(RingTest, RefusesTheNewestWhenFullAndCountsExactly) {
  for (uint64_t i = 0; i < kSlots; ++i) {
    ASSERT_TRUE(writer_.Write(Numbered(0, i)));
  }
  for (int i = 0; i < 7; ++i) {
    EXPECT_FALSE(writer_.Write(Numbered(0, 999)));
  }
  EXPECT_EQ(reader_.dropped(), 7u);
  Record records[kSlots];
  ASSERT_EQ(reader_.Read(records, kSlots), kSlots);
  EXPECT_EQ(records[kSlots - 1].range.owner, kSlots - 1) << "the oldest stay";
  EXPECT_TRUE(writer_.Write(Numbered(0, 0)));
}

TEST_F(RingTest, KeepsEachThreadsOrderAndAccountsForEveryRecord) {
  constexpr uint32_t kThreads = 4;
  constexpr uint64_t kEach = 50'000;
  std::atomic<uint64_t> refused{0};
  std::atomic<uint32_t> running{kThreads};
  std::vector<std::thread> threads;
  for (uint32_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (uint64_t i = 1; i <= kEach; ++i) {
        refused += writer_.Write(Numbered(thread, i)) ? 0 : 1;
      }
      --running;
    });
  }
  uint64_t last[kThreads] = {};
  uint64_t received = 0;
  Record records[16];
  for (;;) {
    const bool is_over = running == 0;
    const size_t count = reader_.Read(records, 16);
    for (size_t i = 0; i < count; ++i) {
      ASSERT_LT(last[records[i].thread], records[i].range.owner);
      last[records[i].thread] = records[i].range.owner;
    }
    received += count;
    if (count == 0 && is_over) {
      break;
    }
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(received + refused, kThreads * kEach);
  EXPECT_EQ(reader_.dropped(), refused);
}

TEST_F(RingTest, ReadsOnPastASlotWhoseWriterDied) {
  ASSERT_TRUE(writer_.Write(Numbered(0, 1)));
  header().claimed.fetch_add(1);  // a writer that claimed, and died
  ASSERT_TRUE(writer_.Write(Numbered(0, 3)));
  Record records[8];
  EXPECT_EQ(reader_.Read(records, 8), 1u) << "a living writer may still publish";
  ASSERT_EQ(reader_.ReadAfterDeath(records, 8), 1u);
  EXPECT_EQ(records[0].range.owner, 3u);
  EXPECT_EQ(reader_.ReadAfterDeath(records, 8), 0u);
  EXPECT_EQ(reader_.dropped(), 1u);
}

TEST_F(RingTest, IsNotHeldByAProducerThatIsAliveAndGoesOnClaiming) {
  Record records[8];
  for (uint32_t i = 1; i <= 3 * kSlots; ++i) {
    header().claimed = i;
    EXPECT_EQ(reader_.ReadAfterDeath(records, 8), 0u);
  }
  EXPECT_EQ(reader_.dropped(), kSlots);
}

TEST_F(RingTest, SurvivesAWriterKilledAtAnyInstruction) {
  uint64_t received = 0;
  for (int round = 0; round < 20; ++round) {
    const uint64_t before = header().claimed;
    const pid_t child = fork();
    if (child == 0) {
      for (uint64_t i = 0;; ++i) {
        writer_.Write(Numbered(1, i));
      }
    }
    for (int waited = 0; header().claimed == before && waited < 100'000; ++waited) {
      usleep(100);
    }
    usleep(static_cast<useconds_t>(37 * round));  // anywhere in its loop
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    ASSERT_NE(header().claimed, before) << "the child wrote nothing in ten seconds";
    Record records[kSlots];
    while (const size_t count = reader_.ReadAfterDeath(records, kSlots)) {
      for (size_t i = 0; i < count; ++i) {
        ASSERT_EQ(records[i].kind, Kind::kRangePush);
        ASSERT_EQ(records[i].thread, 1u);
      }
      received += count;
    }
  }
  EXPECT_GT(received, 0u);
}

TEST_F(RingTest, IsNotFooledByCountersFromAnotherProcess) {
  header().claimed = ~uint64_t{0};
  Record records[8];
  EXPECT_EQ(reader_.Read(records, 8), 0u);
  EXPECT_EQ(reader_.ReadAfterDeath(records, 8), 0u);
  header().claimed = kSlots;  // claimed, and nothing published
  EXPECT_EQ(reader_.ReadAfterDeath(records, 8), 0u);
  EXPECT_EQ(reader_.dropped(), kSlots);
  for (uint32_t i = 0; i < kSlots; ++i) {
    slot(i).sequence = ~uint64_t{0};
  }
  EXPECT_EQ(reader_.Read(records, 8), 0u);
}

TEST_F(RingTest, OpensOnlyWhatIsARingOfThisVersion) {
  RingReader reader;
  EXPECT_FALSE(RingReader::Open(memory_, RingBytes(kSlots) - 1, &reader));
  EXPECT_FALSE(RingReader::Open(memory_, 100, &reader));
  header().slot_count = kSlots * 2;
  EXPECT_FALSE(RingReader::Open(memory_, RingBytes(kSlots), &reader));
  header().slot_count = 0;
  EXPECT_FALSE(RingReader::Open(memory_, RingBytes(kSlots), &reader));
  header().slot_count = kSlots;
  header().format_version = kFormatVersion + 1;
  EXPECT_FALSE(RingReader::Open(memory_, RingBytes(kSlots), &reader));
  header().format_version = kFormatVersion;
  header().magic ^= 1;
  EXPECT_FALSE(RingReader::Open(memory_, RingBytes(kSlots), &reader));
}

TEST(OwnerTest, HoldsPathAndEntry) {
  const Owner owner = MakeOwner(kMaxPaths - 1, kEntryMask);
  EXPECT_EQ(OwnerPath(owner), kMaxPaths - 1);
  EXPECT_EQ(OwnerEntry(owner), kEntryMask);
  EXPECT_EQ(OwnerPath(MakeOwner(5, 7)), 5u);
  EXPECT_EQ(OwnerEntry(MakeOwner(5, 7)), 7u);
}

TEST(MessageTest, OnlyWholeMessagesOfThisVersionParse) {
  Hello hello{kMessageMagic, kMessageVersion, Opcode::kHello, 1, kSlots, {}};
  Hello parsed;
  EXPECT_TRUE(ParseHello(&hello, sizeof(hello), &parsed));
  EXPECT_FALSE(ParseHello(&hello, sizeof(hello) - 1, &parsed));
  hello.opcode = Opcode::kWelcome;
  EXPECT_FALSE(ParseHello(&hello, sizeof(hello), &parsed));
  Control control = MakeControl(Opcode::kDetach);
  Control read;
  EXPECT_TRUE(ParseControl(&control, sizeof(control), &read));
  control.opcode = static_cast<Opcode>(7);
  EXPECT_FALSE(ParseControl(&control, sizeof(control), &read));
  control = MakeControl(Opcode::kHello);
  EXPECT_FALSE(ParseControl(&control, sizeof(control), &read));
}

}  // namespace
}  // namespace dsocr::record
