// Puts the operators of a job that names no module into modules of the tree, as far as their order tells.
//
// Four calls cannot be taken for others, the landmarks: the patch embedding, the projector, the table of tokens and the
// product to the vocabulary. From one of them to the next the operators are aligned with what the model is expected to
// call there (operator_alignment.h). What comes before a thread's first one is in no module.
//
// Constant time an operator, but for stretches that were not seen before: passes over one model repeat. Memory: the
// stretch at hand and 32 MiB of those before. Every field is hostile. Not thread-safe.
#ifndef DSOCR_DAEMON_ATTACH_PLACE_OPERATORS_H_
#define DSOCR_DAEMON_ATTACH_PLACE_OPERATORS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "analytic/model_spec.h"
#include "cupti/record/record.h"
#include "daemon/attach/expected_calls.h"
#include "daemon/attach/translate.h"

namespace dsocr::attach {

// Which runs of its modules an operator belongs to. Numbers are of all threads; 0: none.
struct PassNumbers {
  uint64_t request = 0;  // of the root and the projector
  uint64_t run = 0;      // of the other modules
};

struct PlacedOperator {
  record::Record operation;
  const AlignmentPlace* place = nullptr;  // the operator is in the outermost `depth` of its modules
  int depth = 0;
  double confidence = 0.0;
  PassNumbers pass;
};

class OperatorPlacer {
 public:
  using Sink = std::function<void(const PlacedOperator&)>;

  // `expected` is borrowed; made of `model`. The sink gets the operators of a thread in order.
  OperatorPlacer(const analytic::ModelSpec& model, const ExpectedCalls& expected, Sink sink);
  ~OperatorPlacer();
  OperatorPlacer(const OperatorPlacer&) = delete;
  OperatorPlacer& operator=(const OperatorPlacer&) = delete;

  // What `operation`'s thread calls next. `name`: of the operator; the same text always has the same name id. `shape`:
  // null where it was not told.
  void Consume(const record::Record& operation, std::string_view name, const record::OperatorShape* shape);

  // The thread is over, or the recording: what waits for its next landmark is placed.
  void EndThread(uint32_t number);

  // What was seen, after the last EndThread.
  std::map<ObservedRequest, int64_t> TakeRequests();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_PLACE_OPERATORS_H_
