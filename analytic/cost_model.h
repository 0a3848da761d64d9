// Module tree x workload x device -> the figures of every module.
#ifndef DSOCR_ANALYTIC_COST_MODEL_H_
#define DSOCR_ANALYTIC_COST_MODEL_H_

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "analytic/category.h"
#include "analytic/device/device.h"
#include "analytic/module/tree.h"
#include "analytic/operator_time.h"
#include "analytic/workload.h"

namespace dsocr::analytic {

// How far below and above a predicted time its 50 % and its 90 % interval reach, in ns.
struct TimeSpread {
  double below_50 = 0;
  double above_50 = 0;
  double below_90 = 0;
  double above_90 = 0;

  TimeSpread& operator+=(const TimeSpread& other);  // of operators that err together
};
TimeSpread SpreadOf(double ns, const PredictionError& error);
// Of categories, which err on their own.
TimeSpread InQuadrature(const std::array<TimeSpread, kCategoryCount>& spreads);

// One operator category in a module, children included.
struct CategoryFigures {
  std::string_view category_id;
  int64_t calls = 0;         // of its operators: the part of ModuleFigures::launches
  int64_t flops = 0;         // matmul and convolution
  int64_t vector_flops = 0;  // everything else
  int64_t io_bytes = 0;      // read + written
  double time_ns = 0;
  double idle_ns = 0;       // of that, a GPU waits for the host
  double sync_idle_ns = 0;  // of that, after the host had waited for the device
  TimeSpread spread;
};

// Totals over one request, all instances and calls, children included.
struct ModuleFigures {
  int64_t calls = 0;  // entries of the module's range
  // Operators that the host starts: on a CPU those that dsocr-runner dispatches (census.h), where it runs the model.
  int64_t launches = 0;
  int64_t flops = 0;
  int64_t vector_flops = 0;
  int64_t io_bytes = 0;
  int64_t parameters = 0;             // 0 below decode: what it shares with prefill stands there
  int64_t weight_bytes = 0;           // of those parameters
  int64_t peak_activation_bytes = 0;  // the largest moment, never a sum
  int64_t kv_cache_bytes = 0;         // added by the module
  int64_t activation_elements = 0;    // written by matmul and convolution outputs
  double time_ns = 0;
  double self_time_ns = 0;  // 0 for a module with children
  double idle_ns = 0;       // of time_ns, a GPU waits for the host
  TimeSpread spread;        // operators of one category err together, categories on their own
  // Of the largest part of its time.
  Bound bound = Bound::kMemory;
  Provenance provenance = Provenance::kDatasheet;
  // The measured operator closest to the one with most of its time, of Device::laws' samples; -1: none. In octaves.
  int nearest = -1;
  double nearest_distance = 0;
  std::vector<CategoryFigures> operators;  // in the order of the category list; never empty
};

// Of one instance of a leaf. Weight-only formats keep the matrices of linears, convolutions and experts small.
int64_t WeightBytes(const Node& leaf, Precision precision);

// INVALID_ARGUMENT for CUDA graphs on a device that has none.
absl::Status CheckDevice(const Workload& workload, const Device& device);

// The figures of tree.nodes, index by index. Time of a module is the sum of its leaves' times, and of an operator what
// the device takes for it with what it waits for the host before (step.h).
// REQUIRES: CheckWorkload(model, workload) is OK for the model of `tree`.
std::vector<ModuleFigures> Evaluate(const ModuleTree& tree, const Frames& frames, Precision precision,
                                    const Device& device);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_COST_MODEL_H_
