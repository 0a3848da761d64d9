// Whether the operator calls of a job that names no module are a DeepSeek-OCR, and of what sizes.
//
// The calls that have weights are read in order: SAM's patch embedding begins a view, its blocks and CLIP's layers are
// four products each, the table of tokens begins a pass of the language model and the product back to as many tokens
// ends it. One whole view and one whole pass are enough. A model whose calls do not read so is none that is known.
// DeepSeek-OCR alone: its successor's encoder is not read.
#ifndef DSOCR_DAEMON_ATTACH_RECOGNISE_OPERATORS_H_
#define DSOCR_DAEMON_ATTACH_RECOGNISE_OPERATORS_H_

#include <memory>
#include <span>

#include "absl/status/statusor.h"
#include "cupti/record/record.h"
#include "daemon/attach/operator_call.h"
#include "daemon/attach/recognise.h"

namespace dsocr::attach {

// `calls`: of one thread, in order; those without a weight may be left out. NOT_FOUND says what is missing.
absl::StatusOr<RecognisedModel> RecogniseCalls(std::span<const OperatorCall> calls);

// The calls of a recording. Memory: the first 262,144 calls with weights of each thread.
class CallCollector {
 public:
  CallCollector();
  ~CallCollector();
  CallCollector(const CallCollector&) = delete;
  CallCollector& operator=(const CallCollector&) = delete;

  void Consume(std::span<const record::Record> records);

  // By the first thread that has such a model. NOT_FOUND: as above.
  absl::StatusOr<RecognisedModel> Recognise() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_RECOGNISE_OPERATORS_H_
