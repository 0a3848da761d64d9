// A file of raw records: one header, then records to the end of the file. A file that was cut short holds the records
// before the cut.
//
// On disk: do not move fields.
#ifndef DSOCR_CUPTI_RECORD_TRACE_FILE_H_
#define DSOCR_CUPTI_RECORD_TRACE_FILE_H_

#include <cstdint>
#include <cstring>

#include "cupti/record/record.h"

namespace dsocr::record {

inline constexpr char kTraceFileName[] = "records.dsocr";

struct TraceHeader {
  char magic[8];  // "DSOCRREC"
  uint16_t format_version;
  uint16_t record_bytes;
  uint32_t reserved;
  int64_t pid;
};
static_assert(sizeof(TraceHeader) == 24);

inline TraceHeader MakeTraceHeader(int64_t pid) {
  return {{'D', 'S', 'O', 'C', 'R', 'R', 'E', 'C'}, kFormatVersion, sizeof(Record), 0, pid};
}

// True: records of our version follow.
inline bool IsTraceHeader(const TraceHeader& header) {
  return std::memcmp(header.magic, "DSOCRREC", sizeof(header.magic)) == 0 && header.format_version == kFormatVersion &&
         header.record_bytes == sizeof(Record);
}

}  // namespace dsocr::record

#endif  // DSOCR_CUPTI_RECORD_TRACE_FILE_H_
