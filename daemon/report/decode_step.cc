#include "daemon/report/decode_step.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "fmt/format.h"

namespace dsocr::report {
namespace {

using analytic::PredictedModule;
using analytic::Prediction;
using attribution::ExpectedOperation;

constexpr char kDecode[] = "decode";
// Not captured: the host reads each token.
constexpr char kSample[] = "sample";
// Routed experts are launched one by one only where the host knows which; in a graph they are gathered, in as many
// launches as this (model/moe.cc), or fused into fewer.
constexpr int kMostLaunches = 11;

// By what else the kernels of an operator may be named on a GPU, than by its own category. Libraries choose among them
// by shape and version, so all are acceptable.
struct Kin {
  std::string_view category;
  std::vector<std::string_view> others;
};

const std::vector<Kin>& KinOfCategories() {
  static const auto& kin = *new std::vector<Kin>{
      {"gemm", {"reduction", "memset", "copy"}},  // split-K: zeroed, then added up; casts
      {"gemv", {"reduction", "memset", "copy"}},
      {"attention", {"gemm", "softmax", "reduction", "elementwise", "copy"}},  // unfused; the combine of split keys
      {"norm", {"reduction", "elementwise", "copy"}},                          // RMSNorm step by step, in fp32
      {"softmax", {"copy"}},                                                   // cast to fp32
      {"activation", {"elementwise"}},
      {"elementwise", {"copy"}},
      {"embedding", {"index", "copy"}},  // one row is a gather or a plain copy
      {"index", {"elementwise", "copy"}},
      {"copy", {"elementwise", "index"}},  // a cast is an elementwise kernel; a cache write at a position is an index
      {"routing", {"index", "reduction", "elementwise", "memset", "copy"}},  // radix sort: histogram, scan, scatter
      {"rope", {"elementwise", "index", "copy"}},                            // rotated half by half, from a table
  };
  return kin;
}

// The first `own_categories` of `category_ids` are the leaf's own.
void SetCategories(const PredictedModule& leaf, ExpectedOperation* expected) {
  std::vector<std::string>& ids = expected->category_ids;
  const auto add = [&ids](std::string_view id) {
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) {
      ids.emplace_back(id);
    }
  };
  for (const analytic::CategoryFigures& own : leaf.figures.operators) {
    add(own.category_id);
    if (own.category_id == "gemv" || own.category_id == "gemm") {
      add("gemv");  // cuBLAS takes a matrix kernel for one row where that is faster
      add("gemm");
    }
  }
  if (leaf.figures.operators.size() > 1) {
    add("index");  // routed experts: where the host is not asked which were picked, their weights are gathered
  }
  expected->own_categories = static_cast<int>(ids.size());
  for (const analytic::CategoryFigures& own : leaf.figures.operators) {
    for (const Kin& kin : KinOfCategories()) {
      if (kin.category == own.category_id) {
        std::for_each(kin.others.begin(), kin.others.end(), add);
      }
    }
  }
}

// Walks the instances below a range. `ranges`: those that are open there, outermost first.
class StepWalk {
 public:
  explicit StepWalk(const Prediction& prediction) : prediction_(prediction) {}

  std::vector<ExpectedOperation> Run() && {
    if (const auto decode = prediction_.module_of_range.find(kDecode); decode != prediction_.module_of_range.end()) {
      Visit(kDecode, decode->second);
    }
    return std::move(step_);
  }

 private:
  void Visit(const std::string& range, int index) {
    const PredictedModule& module = prediction_.modules[static_cast<size_t>(index)];
    ranges_.push_back(range);
    if (module.children.empty()) {
      AddLeaf(module);
    }
    // Groups of one name, `layer[0]` and `layer[1-11]`, run in the order of their indices, not group by group.
    absl::flat_hash_set<std::string_view> done;
    for (const int child : module.children) {
      const std::string_view name = prediction_.modules[static_cast<size_t>(child)].name;
      const size_t bracket = name.find('[');
      if (bracket == std::string_view::npos) {
        Visit(fmt::format("{}/{}", range, name), child);
      } else if (done.insert(name.substr(0, bracket)).second) {
        VisitInstances(fmt::format("{}/{}", range, name.substr(0, bracket)));
      }
    }
    ranges_.pop_back();
  }

  void VisitInstances(const std::string& group) {
    for (int i = 0;; ++i) {
      const std::string range = fmt::format("{}[{}]", group, i);
      const auto instance = prediction_.module_of_range.find(range);
      if (instance == prediction_.module_of_range.end()) {
        return;
      }
      Visit(range, instance->second);
    }
  }

  void AddLeaf(const PredictedModule& leaf) {
    if (leaf.figures.calls == 0 || leaf.figures.launches == 0 || leaf.name == kSample) {
      return;
    }
    const double launches = static_cast<double>(leaf.figures.launches) / static_cast<double>(leaf.figures.calls);
    ExpectedOperation& expected = step_.emplace_back();
    expected.ranges = ranges_;
    SetCategories(leaf, &expected);
    expected.operations = std::clamp(static_cast<int>(std::lround(launches)), 1, kMostLaunches);
  }

  const Prediction& prediction_;
  std::vector<std::string> ranges_;
  std::vector<ExpectedOperation> step_;
};

}  // namespace

std::vector<ExpectedOperation> DecodeStep(const Prediction& prediction) { return StepWalk(prediction).Run(); }

}  // namespace dsocr::report
