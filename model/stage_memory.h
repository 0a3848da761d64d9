// The activations of one request, stage by stage, as a counting allocator sees them. docs/memory.md says what is in the
// figures and what is not.
//
//   StageMemoryRecorder recorder(AllocationCounter::Install());
//   Generator(model).Run(request, cache, {.max_new_tokens = 2});
//   for (const StageMemory& stage : recorder.stages()) …
#ifndef DSOCR_MODEL_STAGE_MEMORY_H_
#define DSOCR_MODEL_STAGE_MEMORY_H_

#include <ATen/record_function.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/allocation_counter.h"
#include "model/ranges.h"

namespace dsocr::model {

// The most memory at one moment of a stage, over all its calls. A moment is the end of an operator that the model
// calls: what lives inside an operator alone is its scratch.
struct StageMemory {
  std::string name;              // sam, clip, projector, prefill, decode
  std::string module_id;         // the node that the stage is
  int64_t activation_bytes = 0;  // above what was there when the module around the stage began: its input is counted
  std::string peak_range;        // the innermost range at that moment
  std::map<std::string, int64_t> scratch_bytes;  // the most inside one call, by operator; 0 is left out
};

// Records while it lives, the ranges and operators of the thread that made it. One at a time.
class StageMemoryRecorder final : public RangeObserver {
 public:
  explicit StageMemoryRecorder(AllocationCounter& counter);
  ~StageMemoryRecorder() override;
  StageMemoryRecorder(const StageMemoryRecorder&) = delete;
  StageMemoryRecorder& operator=(const StageMemoryRecorder&) = delete;

  void Enter(const RangeName& name) override;
  void Leave() override;

  const std::vector<StageMemory>& stages() const { return stages_; }  // in the order of the list above
  int64_t request_bytes() const { return request_bytes_; }            // at one moment of the request, stages or not

 private:
  struct OpenRange {
    const std::string* id;
    int64_t live_bytes;  // when it was entered
    StageMemory* stage;  // that it lies in, or null
    int64_t base_bytes;  // of that stage
  };

  static std::unique_ptr<at::ObserverContext> OnStart(const at::RecordFunction&);
  static void OnEnd(const at::RecordFunction& call, at::ObserverContext*);
  void EndOperator(const char* name);

  AllocationCounter& counter_;
  std::vector<StageMemory> stages_;
  int64_t request_bytes_ = 0;
  std::vector<OpenRange> open_;
  int depth_ = 0;  // operators that are running inside each other
  at::CallbackHandle callback_;
};

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_STAGE_MEMORY_H_
