// Records as few bytes: what a stored trace is made of. The format is in docs/record-format.md.
//
// A program repeats itself, so a record's *signature* (all of it but its times, its entry and its correlation id) is
// mostly the one that followed last time, its entry and correlation id are as far from the ones before as last time,
// and its times are near the mean of earlier ones at this place. Then only the distances from the means cost anything:
// the jitter of the clock's readings, which nothing can predict.
//
// Both sides keep the same model of what follows what, some 6 MiB, and learn from each record alike. So the pieces of a
// trace have to be decoded in order, from the first; and whatever the model expects is the format: a change of any
// constant of it raises kTraceVersion.
#ifndef DSOCR_CUPTI_RECORD_TRACE_CODEC_H_
#define DSOCR_CUPTI_RECORD_TRACE_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "cupti/record/range_coder.h"
#include "cupti/record/record.h"

namespace dsocr::record {

class TraceModel;

// Any records at all, also such as no agent would write: what is decoded is equal to the bit. Not thread-safe.
class TraceEncoder {
 public:
  TraceEncoder();
  ~TraceEncoder();

  void Add(const Record& record);
  size_t size() const { return is_finished_ ? 0 : coder_.size(); }  // bytes since the last Finish(), so far
  // What the records since the last Finish() are coded as; valid until the next Add().
  const std::vector<uint8_t>& Finish();

 private:
  std::unique_ptr<TraceModel> model_;
  RangeEncoder coder_;
  bool is_finished_ = false;
};

// Not thread-safe.
class TraceDecoder {
 public:
  TraceDecoder();
  ~TraceDecoder();

  // The next piece that an encoder finished, of `count` records. False: no encoder wrote that; there is no going on.
  bool Decode(const uint8_t* bytes, size_t size, size_t count, Record* records);

 private:
  std::unique_ptr<TraceModel> model_;
};

}  // namespace dsocr::record

#endif  // DSOCR_CUPTI_RECORD_TRACE_CODEC_H_
