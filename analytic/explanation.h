// How a prediction comes about: the distinct calls of every module with their sizes, and for every operator of a leaf
// its formulas with the values of the call and the terms of its time.
//
// The counts are the values of the formulas, not those of CostOf: what documents derive from them is an account of its
// own, and tests hold it to the prediction.
#ifndef DSOCR_ANALYTIC_EXPLANATION_H_
#define DSOCR_ANALYTIC_EXPLANATION_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "analytic/category.h"
#include "analytic/census.h"
#include "analytic/device/device.h"
#include "analytic/model_spec.h"
#include "analytic/module/tree.h"
#include "analytic/op/describe.h"
#include "analytic/operator_time.h"
#include "analytic/request_times.h"
#include "analytic/workload.h"

namespace dsocr::analytic {

// The terms of one call's time. On a GPU the largest of matrix, vector, memory and floor decides, and what the device
// waits for the host comes on top; on a CPU launch + max(matrix + vector, memory, floor). A calibrated device
// multiplies that, without the waiting, by `correction`.
struct TimeTerms {
  Efficiency share;
  double matrix_ns = 0;
  double vector_ns = 0;
  double memory_ns = 0;
  double launch_ns = 0;  // of the host
  double floor_ns = 0;   // the shortest kernels
  double datasheet_ns = 0;
  double correction = 1;
  double idle_ns = 0;  // the mean over the calls of a frame
  double ns = 0;       // TimeOf, and idle_ns
  Bound bound = Bound::kMemory;
};
TimeTerms ExplainTime(const OperatorPass& pass, CategoryId category, Precision precision, const Device& device);

struct OperatorUse {
  CategoryId category;
  OperatorDescription description;
  TimeTerms time;  // of one call
};

// What the passes of frames[index] are called: "crops", "global view", "prefill", "step over 544 keys".
std::string FrameLabel(FrameSet set, const std::vector<Frame>& frames, size_t index);

// Calls of a module with equal sizes.
struct DistinctCall {
  size_t frame = 0;    // index into the frames of the module's set
  std::string label;   // FrameLabel
  int64_t passes = 0;  // of the stage with these sizes
  int64_t calls = 0;   // passes times instances of the module
  Shape input;
  Shape output;
  int64_t kv_cache_elements = 0;       // added by one call
  int64_t peak_bytes = 0;              // activations alive in its largest moment
  Shape held;                          // what the enclosing module keeps alive besides
  int64_t held_bytes = 0;              // of that
  int peak_child = -1;                 // in whose call that moment is, an index into ModuleTree::nodes; of a leaf -1
  std::vector<OperatorUse> operators;  // of a leaf
  std::vector<CensusEntry> census;     // of one call of the module itself, where has_census
};

// Totals over one request, children included, in the base units of ModuleFigures.
struct Account {
  int64_t calls = 0;
  int64_t flops = 0;
  int64_t vector_flops = 0;
  int64_t read_bytes = 0;
  int64_t write_bytes = 0;
  int64_t launches = 0;  // by the census where there is one, else those of the formulas
  int64_t parameters = 0;
  int64_t weight_bytes = 0;
  int64_t kv_cache_bytes = 0;
  int64_t peak_bytes = 0;  // the largest of its calls
  double time_ns = 0;

  int64_t bytes() const { return read_bytes + write_bytes; }
};

struct ModuleExplanation {
  std::vector<DistinctCall> calls;  // crops before the global view
  Account account;
};

struct Explanation {
  ModuleTree tree;
  Frames frames;
  bool has_census = false;                 // of a CPU, where dsocr-runner runs the model
  std::vector<ModuleExplanation> modules;  // of tree.nodes, index by index
};

// REQUIRES: CheckWorkload(model, workload) is OK.
Explanation Explain(const ModelSpec& model, const Workload& workload, const Device& device);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_EXPLANATION_H_
