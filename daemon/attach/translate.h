// A job's records as our own runner would have written them: the ranges of its modules become those of the module tree.
//
//   the job                                       the translation
//   DeepseekOCRForCausalLM    [1,512] tokens      deepseek_ocr
//     model                                         prefill
//       model.embed_tokens                            prefill/embed_tokens
//       model.sam_model       [1,3,1024,1024]       vision          prefill is left, and entered again after it
//                                                     vision/sam
//       model.vision_model                            vision/clip
//       model.layers.0                              prefill
//                                                     prefill/layer[0]
//
// - A call of the model is prefill or decode by the first shape that is told in it: one token is a decode step. Where
//   none is told, a call in which the vision runs is prefill, and any other a decode step.
// - Modules above the mapped one that the job does not call as such (vision, of the published code) are entered with
//   the first of their children, and left when something else begins.
// - An operation goes to the innermost mapped module of the call that owned it; outside of the model, to none.
//
// One pass, constant time a record. Memory: open calls, the last 131,072 that are over, distinct paths and requests.
// Every field is hostile. Not thread-safe.
#ifndef DSOCR_DAEMON_ATTACH_TRANSLATE_H_
#define DSOCR_DAEMON_ATTACH_TRANSLATE_H_

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "cupti/record/record.h"
#include "daemon/attach/recognise.h"
#include "daemon/attach/record_writer.h"

namespace dsocr::attach {

// One call of the vision.
struct View {
  int64_t batch = 0;
  int64_t side = 0;  // pixels

  auto operator<=>(const View&) const = default;
};

// What was seen of a request.
struct ObservedRequest {
  std::vector<View> views;  // in order of their calls
  int64_t batch = 1;
  int64_t seq_len = 0;  // 0: its prefill was not seen
  int64_t steps = 0;    // of decode

  auto operator<=>(const ObservedRequest&) const = default;
};

struct Observation {
  static constexpr size_t kMaxDistinct = 1024;
  static constexpr size_t kMaxViews = 64;

  std::map<ObservedRequest, int64_t>
      requests;  // how often each was seen; beyond kMaxDistinct, those that are new are not
  std::map<std::string, std::set<std::string>> job_paths;  // by instance id: the job's modules that stand for it
  // By instance id, entries of its range that are no calls: where it was left for the vision and entered again, and for
  // the root, passes of a request after the first.
  std::map<std::string, int64_t> resumed;
};

class Translator {
 public:
  // `node_of_range`: of the model's tree; borrowed.
  Translator(const RecognisedModel& model, const absl::flat_hash_map<std::string, int>& node_of_range,
             RecordWriter::Sink sink);
  ~Translator();
  Translator(const Translator&) = delete;
  Translator& operator=(const Translator&) = delete;

  void Consume(const record::Record& record);

  // REQUIRES: called once, after the last record.
  Observation Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_TRANSLATE_H_
