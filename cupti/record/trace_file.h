// A stored trace: a header, then blocks of coded records to the end of the file. docs/record-format.md has the format.
//
// A file that was cut short holds the records of the blocks before the cut: a writer that is killed loses at most one
// block. Each block's checksum goes on from the one before, so that a block that is damaged, missing or from elsewhere
// ends the reading. On disk: do not move fields.
#ifndef DSOCR_CUPTI_RECORD_TRACE_FILE_H_
#define DSOCR_CUPTI_RECORD_TRACE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <vector>

#include "cupti/record/record.h"
#include "cupti/record/trace_codec.h"

namespace dsocr::record {

inline constexpr uint16_t kTraceVersion = 2;  // 1 was records as they are

struct TraceHeader {
  char magic[8];            // "DSOCRREC"
  uint16_t format_version;  // of the records
  uint16_t record_bytes;
  uint16_t trace_version;
  uint16_t reserved;
  int64_t pid;
};
static_assert(sizeof(TraceHeader) == 24);

struct TraceBlock {
  uint32_t bytes;     // of coded records, which follow
  uint32_t records;   // 1 to kMaxBlockRecords
  uint32_t checksum;  // CRC-32 of the header, and of all blocks up to this, these two fields and the coded records each
};
static_assert(sizeof(TraceBlock) == 12);

// 10 KiB of a decode step's records, so that 12 bytes more are 0.1 %.
inline constexpr uint32_t kMaxBlockRecords = 4096;
inline constexpr uint32_t kMaxBlockBytes = 128 << 10;

// Borrows the file. False: errno says why; what was written before can be read. Not thread-safe.
class TraceWriter {
 public:
  explicit TraceWriter(std::FILE* file) : file_(file) {}

  // REQUIRES: called once, first.
  bool Begin(int64_t pid);
  // A block that is full goes to the operating system at once.
  bool Write(const Record* records, size_t count);
  // Ends the block, so that all records are in the file. Called at the end of the trace.
  bool Flush();

 private:
  std::FILE* file_;
  TraceEncoder encoder_;
  uint32_t records_ = 0;  // in the open block
  uint32_t checksum_ = 0;
};

// Borrows the file, which may be anything. Not thread-safe.
class TraceReader {
 public:
  enum class State {
    kMore,         // Next() may give more
    kEnd,          // all was read
    kCut,          // the file ends inside of a block
    kDamaged,      // the block at offset() is not what was written there
    kOtherFormat,  // no trace, or one of another version
  };

  explicit TraceReader(std::FILE* file);

  // The records of the next block, in order; valid until the next call. Empty: there are no more, state() says why.
  std::span<const Record> Next();

  State state() const { return state_; }
  int64_t offset() const { return offset_; }  // of the first byte behind what was given out
  int64_t pid() const { return pid_; }        // of the process; 0 in kOtherFormat

 private:
  std::FILE* file_;
  State state_ = State::kMore;
  int64_t offset_ = 0;
  int64_t pid_ = 0;
  uint32_t checksum_ = 0;
  TraceDecoder decoder_;
  std::vector<uint8_t> bytes_;
  std::vector<Record> records_;
};

}  // namespace dsocr::record

#endif  // DSOCR_CUPTI_RECORD_TRACE_FILE_H_
