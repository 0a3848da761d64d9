// The module tree of a model: what there is, where it stands, and which operators each leaf runs, as sizes of a Frame.
//
// A tree depends on the model alone and is immutable once built; any number of threads may read one. Ids and their
// meaning are in docs/module-tree.md.
#ifndef DSOCR_ANALYTIC_MODULE_TREE_H_
#define DSOCR_ANALYTIC_MODULE_TREE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "analytic/category.h"
#include "analytic/model_spec.h"
#include "analytic/module/frame.h"
#include "analytic/op/operator.h"

namespace dsocr::analytic {

enum class Stage { kVision, kProjector, kPrefill, kDecode, kOther };
enum class Repetition { kNone, kFor, kParfor };
// Whether the host waits for a leaf's result before it goes on.
enum class HostWait : uint8_t { kNever, kUnlessReplayed, kAlways };

using ParamValue = std::variant<int64_t, double, std::string, bool>;
using Params = std::map<std::string, ParamValue>;

// One operator of a leaf. Leaves have one; the routed experts have several.
struct LeafOperator {
  CategoryId category;
  std::function<Operator(const Frame&)> at;  // pure
};

// What a node is, its place in the tree apart.
struct NodeSpec {
  std::string name;
  std::string qualified_class_name;  // of the original model; for steps that are no module there, the function called
  Params constructor_params = {};
  Dims input = {};  // first input
  Dims output = {};
  Repetition repetition = Repetition::kNone;
  int64_t repetition_count = 1;
  bool repeats_with_passes = false;  // the count is that of the passes: decode, once a step
  Dims held =
      {};  // activations that the enclosing module keeps alive while this one runs, its operands apart; elements

  // Leaves only.
  std::vector<LeafOperator> operators = {};
  std::function<double(const Frame&)> experts_hit = nullptr;  // of routed experts: how many of them a pass hits
  int64_t parameters = 0;                                     // of one instance
  bool is_outside_stages = false;                    // the parameters are rows set among tokens, not a stage's weights
  Dims kv_cache = {};                                // elements added to the cache by one call
  std::function<bool(const Frame&)> runs = nullptr;  // null: in every pass
  HostWait host_wait = HostWait::kNever;
};

struct Node {
  std::string id;
  NodeSpec spec;
  Stage stage = Stage::kOther;
  FrameSet frames = FrameSet::kRequest;
  int parent = -1;            // index into nodes; -1 for the root
  std::vector<int> children;  // in execution order
  int64_t instances = 1;      // of the node, over all members of the groups around it
  bool owns_weights = true;   // false below decode, whose weights stand in prefill

  bool is_leaf() const { return children.empty(); }
  bool RunsIn(const Frame& frame) const { return spec.runs == nullptr || spec.runs(frame); }
};

struct ModuleTree {
  std::vector<Node> nodes;  // depth-first, root first
  // Node ids and the instance ids that the runner's ranges carry, to the index of their node.
  absl::flat_hash_map<std::string, int> node_of_range;
};

// REQUIRES: CheckModel(model) is OK.
ModuleTree BuildTree(const ModelSpec& model);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_MODULE_TREE_H_
