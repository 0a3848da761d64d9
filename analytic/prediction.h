// What the analytic side hands to the report: every module with its work and its predicted time.
//
// Units: FLOPs with one multiply-add as two; bytes; nanoseconds. Totals are those of one request, all instances and calls,
// children included.
#ifndef DSOCR_ANALYTIC_PREDICTION_H_
#define DSOCR_ANALYTIC_PREDICTION_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "analytic/device/device.h"
#include "analytic/model_spec.h"
#include "analytic/workload.h"

namespace dsocr::analytic {

enum class Stage { kVision, kProjector, kPrefill, kDecode, kOther };
enum class Repetition { kNone, kFor, kParfor };
enum class Bound { kCompute, kMemory, kLatency, kLaunch, kHost };

using ParamValue = std::variant<int64_t, double, std::string, bool>;
using Shape = std::vector<int64_t>;

// The share of one operator category in a module, children included.
struct CategoryFigures {
  std::string_view category_id;
  int64_t calls = 0;
  int64_t flops = 0;         // matmul and convolution
  int64_t vector_flops = 0;  // everything else
  int64_t io_bytes = 0;      // read + written
  double time_ns = 0;
};

struct ModuleFigures {
  int64_t calls = 0;  // entries of the module's range
  int64_t launches = 0;
  int64_t flops = 0;
  int64_t vector_flops = 0;
  int64_t io_bytes = 0;
  int64_t weight_bytes = 0;
  int64_t parameters = 0;
  int64_t peak_activation_bytes = 0;
  int64_t kv_cache_bytes = 0;
  int64_t activation_elements = 0;  // written by matmul and convolution outputs
  double time_ns = 0;
  double self_time_ns = 0;  // 0 for a module with children
  Bound bound = Bound::kMemory;
  std::vector<CategoryFigures> operators;  // in the order of the category list; never empty
};

struct PredictedModule {
  std::string module_id;
  std::string name;
  std::string qualified_class_name;
  Stage stage = Stage::kOther;
  int parent = -1;            // index into Prediction::modules; -1 for the root
  std::vector<int> children;  // indices, in execution order
  Repetition repetition = Repetition::kNone;
  int64_t repetition_count = 1;
  std::map<std::string, ParamValue> constructor_params;
  std::vector<Shape> input_shapes;
  std::vector<Shape> output_shapes;
  ModuleFigures figures;
};

struct Prediction {
  std::vector<PredictedModule> modules;  // flat, depth-first, root first
  // Range names of the runner (instance ids) and node ids, to the index of their module.
  absl::flat_hash_map<std::string, int> module_of_range;
};

// INVALID_ARGUMENT, naming the field, for a workload that the model cannot run.
absl::StatusOr<Prediction> Predict(const ModelSpec& model, const Workload& workload, const Device& device);

// The one list of operator categories, in its documented order.
struct Category {
  std::string_view id;
  std::string_view display_name;
  std::string_view description;
};
const std::vector<Category>& Categories();

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_PREDICTION_H_
