// An NVTX tool inside the test program: sees every range that the code under test pushes, as an injected agent would.
//
// NVTX looks for a tool once, at its first call in the process; a test program that links nvtx_recorder.cc has this
// one. One thread.
#ifndef DSOCR_TESTS_MODEL_NVTX_RECORDER_H_
#define DSOCR_TESTS_MODEL_NVTX_RECORDER_H_

#include <map>
#include <string>
#include <vector>

namespace dsocr::model {

struct RecordedRanges {
  std::map<std::string, int> calls;           // by full name
  std::vector<std::string> in_order;          // names in the order in which they were pushed
  int open = 0;                               // pushed and not popped
  std::map<std::string, std::string> parent;  // of the first push of each name; "" at the outside
};

// Forgets what was seen so far.
void StartRecordingRanges();
const RecordedRanges& RangesSeen();

}  // namespace dsocr::model

#endif  // DSOCR_TESTS_MODEL_NVTX_RECORDER_H_
