#include "cupti/record/trace_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/cupti/record/generated_trace.h"

namespace dsocr::record {
namespace {

using State = TraceReader::State;

struct Closer {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, Closer>;

// A file of these bytes, at its beginning.
File FileOf(const std::string& bytes) {
  File file(std::tmpfile());
  std::fwrite(bytes.data(), 1, bytes.size(), file.get());
  std::rewind(file.get());
  return file;
}

std::string Written(const std::vector<Record>& records) {
  const File file(std::tmpfile());
  TraceWriter writer(file.get());
  EXPECT_TRUE(writer.Begin(4711));
  EXPECT_TRUE(writer.Write(records.data(), records.size()));
  EXPECT_TRUE(writer.Flush());
  std::string bytes(static_cast<size_t>(std::ftell(file.get())), '\0');
  std::rewind(file.get());
  EXPECT_EQ(std::fread(bytes.data(), 1, bytes.size(), file.get()), bytes.size());
  return bytes;
}

struct Read {
  std::vector<Record> records;
  State state;
  int64_t offset;
  int64_t pid;
};
Read ReadAll(const std::string& bytes) {
  const File file = FileOf(bytes);
  TraceReader reader(file.get());
  Read read;
  for (auto records = reader.Next(); !records.empty(); records = reader.Next()) {
    read.records.insert(read.records.end(), records.begin(), records.end());
  }
  EXPECT_TRUE(reader.Next().empty());
  read.state = reader.state();
  read.offset = reader.offset();
  read.pid = reader.pid();
  return read;
}

// Where each block begins, and where the last one ends.
std::vector<size_t> BlockOffsets(const std::string& bytes) {
  std::vector<size_t> offsets = {sizeof(TraceHeader)};
  while (offsets.back() < bytes.size()) {
    TraceBlock block;
    std::memcpy(&block, bytes.data() + offsets.back(), sizeof(block));
    offsets.push_back(offsets.back() + sizeof(block) + block.bytes);
  }
  return offsets;
}

bool AreEqual(const std::vector<Record>& a, const std::vector<Record>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(Record)) == 0);
}

void ExpectReadsBack(const std::vector<Record>& records) {
  const Read read = ReadAll(Written(records));
  EXPECT_EQ(read.state, State::kEnd);
  EXPECT_EQ(read.pid, 4711);
  EXPECT_TRUE(AreEqual(read.records, records));
}

double BytesPerOperation(const GeneratedOptions& options) {
  const GeneratedTrace trace(options);
  return static_cast<double>(Written(trace.records()).size()) / static_cast<double>(trace.operations());
}

TEST(TraceFileTest, ReadsBackNothing) { ExpectReadsBack({}); }

TEST(TraceFileTest, ReadsBackWhatJobsSend) {
  ExpectReadsBack(GeneratedTrace({.steps = 12}).records());
  ExpectReadsBack(GeneratedTrace({.steps = 12, .streams = 4, .bulk = false}).records());
  ExpectReadsBack(GeneratedTrace({.steps = 12, .graph = true}).records());
  ExpectReadsBack(GeneratedTrace({.steps = 12, .threads = 2, .cpu = true}).records());
}

// A job owns its ring: whatever it writes there is kept as it is.
TEST(TraceFileTest, ReadsBackRecordsThatNoAgentWrites) {
  std::mt19937_64 random(7);
  std::vector<Record> records(20'000);
  for (size_t i = 0; i < records.size(); ++i) {
    uint64_t words[7];
    for (uint64_t& word : words) {
      word = random() >> random() % 64;
    }
    std::memcpy(static_cast<void*>(&records[i]), words, sizeof(words));
    if (i % 2 == 0) {
      records[i].kind = static_cast<Kind>(random() % (kLastKind + 1));
    }
  }
  ExpectReadsBack(records);
}

TEST(TraceFileTest, ReadsBackTimesAtTheEndsOfTheirRange) {
  std::vector<Record> records;
  for (const int64_t start : {INT64_MIN, INT64_MAX, int64_t{0}, int64_t{-1}, INT64_MIN + 1}) {
    for (const int64_t end : {INT64_MAX, INT64_MIN, int64_t{1}}) {
      for (const Kind kind :
           {Kind::kKernel, Kind::kCpuOperation, Kind::kRangePush, Kind::kGraphLaunch, Kind::kMemory}) {
        Record record{};
        record.kind = kind;
        record.operation = {start, end, ~Owner{0}, 1, 7, ~uint64_t{0}, ~0u, ~0u};
        records.insert(records.end(), 3, record);
      }
    }
  }
  ExpectReadsBack(records);
}

TEST(TraceFileTest, ReadsBackMoreSignaturesThanTheModelHolds) {
  std::vector<Record> records(100'000);
  for (size_t i = 0; i < records.size(); ++i) {
    records[i].kind = Kind::kSet;
    records[i].operation.detail = i % 40'000;
  }
  ExpectReadsBack(records);
}

// Files outlive the program that wrote them. If this fails, raise kTraceVersion; then write down the new number.
TEST(TraceFileTest, TheModelIsThatOfThisVersion) {
  std::vector<Record> records(kMaxBlockRecords);
  int64_t time = 1'000'000;
  for (size_t i = 0; i < records.size(); ++i) {
    const int64_t jitter = static_cast<int64_t>(i * i * 7919 % 101);
    Record& record = records[i];
    const Owner owner = MakeOwner(1 + i / 5 % 7, 1 + i / 5);
    if (i % 5 == 0 || i % 5 == 4) {
      record.kind = i % 5 == 0 ? Kind::kRangePush : Kind::kRangePop;
      record.range = {time += 400 + jitter, owner, 0};
    } else {
      record.kind = i % 5 == 1 ? Kind::kCpuOperation : i % 97 == 2 ? Kind::kStatistics : Kind::kKernel;
      record.operation = {time + 90, time + 300 + 2 * jitter,  owner, static_cast<NameId>(i % 5), 7,
                          0,         static_cast<uint32_t>(i), 1};
      time = record.operation.end_ns;
    }
  }
  const std::string bytes = Written(records);
  TraceBlock block;
  std::memcpy(&block, bytes.data() + sizeof(TraceHeader), sizeof(block));
  EXPECT_EQ(kTraceVersion, 2);
  EXPECT_EQ(block.checksum, 40166922u);
}

// Each time has at least 8 bits that nothing can know: 2 bytes an operation, and 1 for each push and pop, of which
// there are 0.9 an operation.
TEST(TraceFileTest, TakesLittleMoreThanTheJitterOfItsTimes) {
  EXPECT_LT(BytesPerOperation({.steps = 200, .graph = true, .sigma_ns = 64}), 2.12);
  EXPECT_LT(BytesPerOperation({.steps = 200, .graph = true}), 2.3);
  EXPECT_LT(BytesPerOperation({.steps = 200}), 3.3);
  EXPECT_LT(BytesPerOperation({.steps = 200, .streams = 4}), 3.4);
  EXPECT_LT(BytesPerOperation({.steps = 200, .threads = 2}), 3.3);
  EXPECT_LT(BytesPerOperation({.steps = 200, .cpu = true}), 3.3);
}

TEST(TraceFileTest, BlocksReachTheFileAsTheyFill) {
  const File file(std::tmpfile());
  TraceWriter writer(file.get());
  ASSERT_TRUE(writer.Begin(1));
  const std::vector<Record> records(kMaxBlockRecords + 1);
  ASSERT_TRUE(writer.Write(records.data(), records.size()));
  // As if the writer had been killed here.
  const int fd = fileno(file.get());
  File copy(fdopen(dup(fd), "rb"));
  std::rewind(copy.get());
  TraceReader reader(copy.get());
  EXPECT_EQ(reader.Next().size(), kMaxBlockRecords);
  EXPECT_TRUE(reader.Next().empty());
  EXPECT_EQ(reader.state(), State::kEnd);
}

TEST(TraceFileTest, ACutFileGivesTheBlocksBeforeTheCut) {
  const std::vector<Record> records = GeneratedTrace({.steps = 12}).records();
  const std::string whole = Written(records);
  const std::vector<size_t> offsets = BlockOffsets(whole);
  ASSERT_GT(offsets.size(), 3u);
  for (const size_t cut : {offsets[2] - 1, offsets[1] + 1, offsets[1] + sizeof(TraceBlock), offsets[2] + 11}) {
    const Read read = ReadAll(whole.substr(0, cut));
    const size_t blocks = cut < offsets[2] ? 1 : 2;
    EXPECT_EQ(read.state, State::kCut);
    EXPECT_EQ(read.offset, static_cast<int64_t>(offsets[blocks]));
    EXPECT_TRUE(AreEqual(read.records, {records.begin(), records.begin() + blocks * kMaxBlockRecords}));
  }
  EXPECT_EQ(ReadAll(whole.substr(0, offsets[2])).state, State::kEnd);
}

TEST(TraceFileTest, ADamagedBlockEndsTheReadingWhereItBegins) {
  const std::vector<Record> records = GeneratedTrace({.steps = 12}).records();
  const std::string whole = Written(records);
  const std::vector<size_t> offsets = BlockOffsets(whole);
  for (size_t at = offsets[1] + 4; at < offsets[2]; at += 97) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    const Read read = ReadAll(damaged);
    EXPECT_EQ(read.state, State::kDamaged) << at;
    EXPECT_EQ(read.offset, static_cast<int64_t>(offsets[1]));
    EXPECT_TRUE(AreEqual(read.records, {records.begin(), records.begin() + kMaxBlockRecords}));
  }
}

TEST(TraceFileTest, AMissingOrForeignBlockIsDamage) {
  const std::string whole = Written(GeneratedTrace({.steps = 12}).records());
  const std::vector<size_t> offsets = BlockOffsets(whole);
  EXPECT_EQ(ReadAll(whole.substr(0, offsets[1]) + whole.substr(offsets[2])).state, State::kDamaged);
  std::string other_process = whole;
  other_process[16] ^= 1;
  EXPECT_EQ(ReadAll(other_process).state, State::kDamaged);
}

TEST(TraceFileTest, RefusesBlocksBeyondTheLimits) {
  const std::string header = Written({});
  for (const TraceBlock block : {TraceBlock{kMaxBlockBytes + 1, 1, 0}, TraceBlock{4, 0, 0},
                                 TraceBlock{4, kMaxBlockRecords + 1, 0}, TraceBlock{~0u, ~0u, ~0u}}) {
    const Read read = ReadAll(header + std::string(reinterpret_cast<const char*>(&block), sizeof(block)) + "....");
    EXPECT_EQ(read.state, State::kDamaged);
    EXPECT_EQ(read.offset, 24);
  }
}

TEST(TraceFileTest, RefusesOtherFormats) {
  const std::string header = Written({});
  EXPECT_EQ(ReadAll("").state, State::kOtherFormat);
  EXPECT_EQ(ReadAll(header.substr(0, 23)).state, State::kOtherFormat);
  for (const size_t at : {0, 7, 8, 10, 12}) {  // magic, its end, versions, the records' size
    std::string other = header;
    other[at] ^= 2;
    EXPECT_EQ(ReadAll(other).state, State::kOtherFormat) << at;
  }
}

TEST(TraceFileTest, SaysThatADiskIsFull) {
  const File full(std::fopen("/dev/full", "wb"));
  ASSERT_NE(full, nullptr);
  TraceWriter writer(full.get());
  EXPECT_TRUE(writer.Begin(1));  // into the buffer
  EXPECT_FALSE(writer.Flush());
}

}  // namespace
}  // namespace dsocr::record
