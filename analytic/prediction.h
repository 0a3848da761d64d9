// What the analytic side hands to the report: every module with its work and its predicted time.
//
// Units: FLOPs with one multiply-add as two; bytes; nanoseconds. Totals are those of one request, all instances and
// calls, children included.
#ifndef DSOCR_ANALYTIC_PREDICTION_H_
#define DSOCR_ANALYTIC_PREDICTION_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "analytic/category.h"
#include "analytic/cost_model.h"
#include "analytic/device/device.h"
#include "analytic/model_spec.h"
#include "analytic/module/tree.h"
#include "analytic/workload.h"

namespace dsocr::analytic {

struct PredictedModule {
  std::string module_id;
  std::string name;
  std::string qualified_class_name;
  Stage stage = Stage::kOther;
  int parent = -1;            // index into Prediction::modules; -1 for the root
  std::vector<int> children;  // indices, in execution order
  Repetition repetition = Repetition::kNone;
  int64_t repetition_count = 1;
  Params constructor_params;
  std::vector<Shape> input_shapes;  // of the first input, each distinct call once, crops first
  std::vector<Shape> output_shapes;
  ModuleFigures figures;
};

struct Prediction {
  std::vector<PredictedModule> modules;  // flat, depth-first, root first
  // Range names of the runner (instance ids) and node ids, to the index of their module.
  absl::flat_hash_map<std::string, int> module_of_range;
};

// INVALID_ARGUMENT, naming the field, for a model or a workload that CheckWorkload or CheckDevice refuses.
absl::StatusOr<Prediction> Predict(const ModelSpec& model, const Workload& workload, const Device& device);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_PREDICTION_H_
