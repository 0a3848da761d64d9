#include "cupti/record/trace_file.h"

#include <array>
#include <cstring>

namespace dsocr::record {
namespace {

// A block ends when it has this many bytes already: one record is less than 4 KiB, whatever it holds.
constexpr size_t kFullBlockBytes = kMaxBlockBytes - 4096;

constexpr std::array<uint32_t, 256> kChecksumOfByte = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t remainder = byte;
    for (int bit = 0; bit < 8; ++bit) {
      remainder = remainder >> 1 ^ ((remainder & 1) != 0 ? 0xedb88320 : 0);
    }
    table[byte] = remainder;
  }
  return table;
}();

// CRC-32 as in zlib: of what `checksum` is of, then of these bytes.
uint32_t Checksum(uint32_t checksum, const void* bytes, size_t size) {
  checksum = ~checksum;
  for (const auto* byte = static_cast<const uint8_t*>(bytes); size > 0; ++byte, --size) {
    checksum = checksum >> 8 ^ kChecksumOfByte[(checksum ^ *byte) & 0xff];
  }
  return ~checksum;
}

uint32_t BlockChecksum(uint32_t before, const TraceBlock& block, const uint8_t* bytes) {
  return Checksum(Checksum(before, &block, offsetof(TraceBlock, checksum)), bytes, block.bytes);
}

}  // namespace

bool TraceWriter::Begin(int64_t pid) {
  const TraceHeader header = {
      {'D', 'S', 'O', 'C', 'R', 'R', 'E', 'C'}, kFormatVersion, sizeof(Record), kTraceVersion, 0, pid};
  checksum_ = Checksum(0, &header, sizeof(header));
  return std::fwrite(&header, sizeof(header), 1, file_) == 1;
}

bool TraceWriter::Write(const Record* records, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    encoder_.Add(records[i]);
    if ((++records_ == kMaxBlockRecords || encoder_.size() >= kFullBlockBytes) && !Flush()) {
      return false;
    }
  }
  return true;
}

bool TraceWriter::Flush() {
  if (records_ > 0) {
    const std::vector<uint8_t>& bytes = encoder_.Finish();
    TraceBlock block = {static_cast<uint32_t>(bytes.size()), records_, 0};
    block.checksum = checksum_ = BlockChecksum(checksum_, block, bytes.data());
    records_ = 0;
    if (std::fwrite(&block, sizeof(block), 1, file_) != 1 ||
        std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) {
      return false;
    }
  }
  return std::fflush(file_) == 0;
}

TraceReader::TraceReader(std::FILE* file) : file_(file) {
  TraceHeader header;
  if (std::fread(&header, sizeof(header), 1, file_) != 1 ||
      std::memcmp(header.magic, "DSOCRREC", sizeof(header.magic)) != 0 || header.format_version != kFormatVersion ||
      header.record_bytes != sizeof(Record) || header.trace_version != kTraceVersion) {
    state_ = State::kOtherFormat;
    return;
  }
  pid_ = header.pid;
  checksum_ = Checksum(0, &header, sizeof(header));
  offset_ = sizeof(header);
}

std::span<const Record> TraceReader::Next() {
  if (state_ != State::kMore) {
    return {};
  }
  TraceBlock block;
  const size_t got = std::fread(&block, 1, sizeof(block), file_);
  if (got < sizeof(block)) {
    state_ = got == 0 ? State::kEnd : State::kCut;
    return {};
  }
  if (block.bytes > kMaxBlockBytes || block.records == 0 || block.records > kMaxBlockRecords) {
    state_ = State::kDamaged;
    return {};
  }
  bytes_.resize(block.bytes);
  if (std::fread(bytes_.data(), 1, block.bytes, file_) != block.bytes) {
    state_ = State::kCut;
    return {};
  }
  checksum_ = BlockChecksum(checksum_, block, bytes_.data());
  records_.resize(block.records);
  if (checksum_ != block.checksum || !decoder_.Decode(bytes_.data(), bytes_.size(), block.records, records_.data())) {
    state_ = State::kDamaged;
    return {};
  }
  offset_ += static_cast<int64_t>(sizeof(block) + block.bytes);
  return records_;
}

}  // namespace dsocr::record
