// The operators of a job that names no module, as our own runner would have recorded them: with ranges of the module
// tree around them, as far as their order tells.
//
//   the job                              the translation
//   aten::conv2d      [1,3,1024,1024]      vision > vision/sam > vision/sam/patch_embed
//   aten::add                              …          vision/sam/pos_embed > vision/sam/pos_embed/add
//   aten::layer_norm                       …          vision/sam/block[0] > vision/sam/block[0]/norm1
//   aten::linear      768 -> 2304          …
//
// One pass, memory as OperatorPlacer's. Every field is hostile. Not thread-safe.
#ifndef DSOCR_DAEMON_ATTACH_TRANSLATE_OPERATORS_H_
#define DSOCR_DAEMON_ATTACH_TRANSLATE_OPERATORS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "analytic/model_spec.h"
#include "cupti/record/record.h"
#include "daemon/attach/record_writer.h"
#include "daemon/attach/translate.h"

namespace dsocr::attach {

// Of the operators that were put into a module itself.
struct Inferred {
  int64_t device_ns = 0;
  double sure_ns = 0.0;  // the sum of device time x confidence
};

struct OperatorObservation {
  Observation observation;
  std::map<std::string, Inferred> inferred;  // by instance id
};

class OperatorTranslator {
 public:
  // REQUIRES: as ExpectCalls.
  OperatorTranslator(const analytic::ModelSpec& model, RecordWriter::Sink sink);
  ~OperatorTranslator();
  OperatorTranslator(const OperatorTranslator&) = delete;
  OperatorTranslator& operator=(const OperatorTranslator&) = delete;

  void Consume(const record::Record& record);

  // REQUIRES: called once, after the last record.
  OperatorObservation Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_TRANSLATE_OPERATORS_H_
