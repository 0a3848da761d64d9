#include "daemon/attach/expected_calls.h"

#include <algorithm>
#include <set>
#include <utility>
#include <variant>

#include "absl/container/flat_hash_set.h"
#include "analytic/module/frame.h"
#include "analytic/module/tree.h"
#include "cupti/attribution/operator_category.h"
#include "daemon/attach/window_prediction.h"
#include "fmt/format.h"

namespace dsocr::attach {
namespace {

using analytic::CategoryId;
using analytic::ModelSpec;

constexpr std::array<std::string_view, kStages> kStageRanges = {"vision", "projector", "prefill", "decode"};

// --- Places

// A weight is hardly left out; what has none may be done in place, or fused to its neighbour.
constexpr double kSkipWeight = 1e-4;
constexpr double kSkipOther = 0.05;
constexpr double kSkipOptional = 0.5;
constexpr double kSkipBeside = 0.5;
constexpr double kStayUsual = 0.6;
constexpr double kStayBeside = 0.5;
constexpr double kStayWeight = 0.02;
constexpr double kStayExperts = 0.995;

bool IsExperts(const PlaceKind& kind) { return kind.weights.size() > 1; }

bool HasOneWeight(const PlaceKind& kind) {
  const WeightKind weight = kind.weights.size() == 1 ? kind.weights[0].kind : WeightKind::kNone;
  return weight == WeightKind::kProduct || weight == WeightKind::kConvolution || weight == WeightKind::kTable;
}

class Walk {
 public:
  explicit Walk(const ModelSpec& model)
      : model_(model),
        tree_(analytic::BuildTree(model)),
        frames_(analytic::FramesOf(model, UsualWorkload(model, Execution()))) {
    calls_.modules.push_back(tree_.nodes[0].id);
    calls_.kinds.push_back({.is_outside = true});
  }

  ExpectedCalls Run() && {
    open_ = {0};
    for (size_t stage = 0; stage < kStages; ++stage) {
      places_ = &calls_.stages[stage];
      const std::string range(kStageRanges[stage]);
      Visit(range, tree_.node_of_range.at(range));
    }
    return std::move(calls_);
  }

 private:
  void Visit(const std::string& range, int index) {
    const analytic::Node& node = tree_.nodes[static_cast<size_t>(index)];
    open_.push_back(static_cast<int>(calls_.modules.size()));
    calls_.modules.push_back(range);
    if (node.is_leaf()) {
      AddPlace(node);
    }
    // Groups of one name, `layer[0]` and `layer[1-11]`, run in the order of their indices.
    absl::flat_hash_set<std::string_view> done;
    for (const int child : node.children) {
      const std::string_view name = tree_.nodes[static_cast<size_t>(child)].spec.name;
      const size_t bracket = name.find('[');
      if (bracket == std::string_view::npos) {
        Visit(fmt::format("{}/{}", range, name), child);
      } else if (done.insert(name.substr(0, bracket)).second) {
        VisitInstances(fmt::format("{}/{}", range, name.substr(0, bracket)));
      }
    }
    open_.pop_back();
  }

  void VisitInstances(const std::string& group) {
    for (int i = 0;; ++i) {
      const std::string range = fmt::format("{}[{}]", group, i);
      const auto instance = tree_.node_of_range.find(range);
      if (instance == tree_.node_of_range.end()) {
        return;
      }
      Visit(range, instance->second);
    }
  }

  // Some modules run at some sizes only, one never.
  bool RunsAtAnySize(const analytic::Node& leaf, analytic::Frame frame) const {
    const bool runs = leaf.spec.runs(frame);
    for (int64_t analytic::Frame::*size : {&analytic::Frame::side, &analytic::Frame::grid,
                                           &analytic::Frame::padded_grid, &analytic::Frame::feature_grid}) {
      ++(frame.*size);
    }
    return runs || leaf.spec.runs(frame);
  }

  void AddPlace(const analytic::Node& leaf) {
    const std::vector<analytic::Frame>& frames = frames_.Of(leaf.frames);
    const analytic::Frame frame =
        frames.empty() ? analytic::Frame{.passes = 1, .tokens = 1, .keys = 1} : frames.front();
    if (leaf.spec.runs != nullptr && !RunsAtAnySize(leaf, frame)) {
      return;
    }
    PlaceKind kind;
    for (const analytic::LeafOperator& op : leaf.spec.operators) {
      if (const Weight weight = WeightOf(op.at(frame)); weight.kind != WeightKind::kNone) {
        kind.weights.push_back(weight);
      }
    }
    kind.category = IsExperts(kind) ? CategoryId::kGemm : leaf.spec.operators[0].category;
    if (kind.category == CategoryId::kEmbedding) {
      kind.weights = {{WeightKind::kTable, model_.decoder.vocab_size, model_.decoder.hidden_size, 0}};
    }
    if (!HasOneWeight(kind)) {
      const bool is_optional = leaf.spec.runs != nullptr;
      AddPlace(kind, IsExperts(kind) ? kStayExperts : kStayUsual,
               IsExperts(kind) ? kSkipWeight
               : is_optional   ? kSkipOptional
                               : kSkipOther);
      return;
    }
    // Casts and changes of layout come before and after; what the module is there for is one call.
    const PlaceKind beside{.category = kind.category};
    AddPlace(beside, kStayBeside, kSkipBeside);
    AddPlace(kind, kStayWeight, kSkipWeight);
    AddPlace(beside, kStayBeside, kSkipBeside);
  }

  void AddPlace(const PlaceKind& kind, double stay, double skip) {
    const auto known = std::find(calls_.kinds.begin(), calls_.kinds.end(), kind);
    places_->push_back(
        {.modules = open_, .kind = static_cast<int>(known - calls_.kinds.begin()), .stay = stay, .skip = skip});
    if (known == calls_.kinds.end()) {
      calls_.kinds.push_back(kind);
    }
  }

  static Weight WeightOf(const analytic::Operator& op) {
    if (const auto* gemm = std::get_if<analytic::Gemm>(&op)) {
      return gemm->b_is_weight ? Weight{WeightKind::kProduct, gemm->k, gemm->n, 0}
                               : Weight{WeightKind::kBatchedProduct, 0, 0, 0};
    }
    if (const auto* grouped = std::get_if<analytic::GroupedGemm>(&op)) {
      return {WeightKind::kProduct, grouped->k, grouped->n, 0};
    }
    if (const auto* conv = std::get_if<analytic::Conv2d>(&op)) {
      return {WeightKind::kConvolution, conv->in_channels, conv->out_channels, conv->kernel};
    }
    return {std::holds_alternative<analytic::Attention>(op) ? WeightKind::kAttention : WeightKind::kNone};
  }

  const ModelSpec& model_;
  const analytic::ModuleTree tree_;
  const analytic::Frames frames_;
  ExpectedCalls calls_;
  std::vector<int> open_;
  std::vector<AlignmentPlace>* places_ = nullptr;
};

// --- Fits

// Of calls without a weight: what each kind of module makes besides, or in place, of its own operator. Its own fits
// with 1, all others with kForeign.
struct Resemblance {
  CategoryId place;
  CategoryId call;
  double fit;
};

constexpr double kForeign = 1e-3;
constexpr double kOutside = 0.02;
constexpr double kView = 0.3;  // moves no data: anywhere
constexpr double kUnknown = 0.1;
constexpr double kOtherWeight = 1e-4;  // a weight of another size than expected
constexpr double kNoWeight = 1e-6;     // a weight where none is

constexpr Resemblance kResemblances[] = {
    {CategoryId::kGemm, CategoryId::kCopy, 0.1},
    {CategoryId::kGemm, CategoryId::kElementwise, 0.01},
    {CategoryId::kConv, CategoryId::kCopy, 0.4},
    {CategoryId::kConv, CategoryId::kElementwise, 0.01},
    {CategoryId::kNorm, CategoryId::kElementwise, 0.5},
    {CategoryId::kNorm, CategoryId::kReduction, 0.5},
    {CategoryId::kNorm, CategoryId::kCopy, 0.4},
    {CategoryId::kCopy, CategoryId::kIndex, 0.2},
    {CategoryId::kCopy, CategoryId::kElementwise, 0.02},
    {CategoryId::kElementwise, CategoryId::kCopy, 0.05},
    {CategoryId::kActivation, CategoryId::kElementwise, 0.3},
    {CategoryId::kActivation, CategoryId::kCopy, 0.05},
    {CategoryId::kAttention, CategoryId::kCopy, 0.3},
    {CategoryId::kAttention, CategoryId::kSoftmax, 0.5},
    {CategoryId::kAttention, CategoryId::kElementwise, 0.2},
    {CategoryId::kAttention, CategoryId::kIndex, 0.1},
    {CategoryId::kSoftmax, CategoryId::kCopy, 0.1},
    {CategoryId::kRouting, CategoryId::kIndex, 0.3},
    {CategoryId::kRouting, CategoryId::kReduction, 0.3},
    {CategoryId::kRouting, CategoryId::kElementwise, 0.3},
    {CategoryId::kRouting, CategoryId::kCopy, 0.3},
    {CategoryId::kIndex, CategoryId::kElementwise, 0.4},
    {CategoryId::kIndex, CategoryId::kCopy, 0.3},
    {CategoryId::kEmbedding, CategoryId::kIndex, 0.3},
    {CategoryId::kEmbedding, CategoryId::kCopy, 0.02},
    {CategoryId::kRope, CategoryId::kElementwise, 0.7},
    {CategoryId::kRope, CategoryId::kCopy, 0.5},
    {CategoryId::kRope, CategoryId::kIndex, 0.3},
    {CategoryId::kInterpolate, CategoryId::kCopy, 0.5},
    {CategoryId::kSampling, CategoryId::kReduction, 1},
    {CategoryId::kSampling, CategoryId::kCopy, 0.1},
    {CategoryId::kSampling, CategoryId::kIndex, 0.5},
    {CategoryId::kSampling, CategoryId::kElementwise, 0.2},
    {CategoryId::kSampling, CategoryId::kSoftmax, 0.5},
};

constexpr std::string_view kViews[] = {"view",       "reshape",       "_reshape_alias",  "permute",    "transpose",
                                       "t",          "expand",        "slice",           "select",     "squeeze",
                                       "unsqueeze",  "split",         "unbind",          "chunk",      "narrow",
                                       "flatten",    "alias",         "detach",          "as_strided", "empty",
                                       "empty_like", "empty_strided", "split_with_sizes"};

bool IsView(std::string_view name) {
  return name.substr(0, 6) == "aten::" &&
         std::find(std::begin(kViews), std::end(kViews), name.substr(6)) != std::end(kViews);
}

double FitOfCategory(const PlaceKind& kind, CategoryId call) {
  if (IsExperts(kind)) {  // everything from gathering rows to their weighted sum
    return call == CategoryId::kRouting || call == CategoryId::kSoftmax || call == CategoryId::kNorm ? kForeign : 0.4;
  }
  const CategoryId place = kind.category == CategoryId::kGemv ? CategoryId::kGemm : kind.category;
  if (place == call) {
    return 1;
  }
  const auto found = std::find_if(std::begin(kResemblances), std::end(kResemblances),
                                  [&](const Resemblance& r) { return r.place == place && r.call == call; });
  return found == std::end(kResemblances) ? kForeign : found->fit;
}

bool HasKind(const PlaceKind& place, WeightKind kind) {
  return std::any_of(place.weights.begin(), place.weights.end(), [kind](const Weight& w) { return w.kind == kind; });
}

}  // namespace

ExpectedCalls ExpectCalls(const ModelSpec& model) { return Walk(model).Run(); }

double FitOf(const PlaceKind& kind, std::string_view operator_name, const Weight& weight) {
  if (kind.is_outside) {
    return kOutside;
  }
  const auto category = static_cast<CategoryId>(attribution::AtenCategory(operator_name));
  const bool is_exact = std::find(kind.weights.begin(), kind.weights.end(), weight) != kind.weights.end();
  if (is_exact && weight.kind != WeightKind::kNone) {
    return 1;
  }
  if (HasOneWeight(kind) && weight.kind != WeightKind::kBatchedProduct) {
    const bool is_untold = weight.kind == WeightKind::kNone && FitOfCategory(kind, category) == 1;
    return weight.kind == kind.weights[0].kind ? kOtherWeight : is_untold ? kUnknown : kNoWeight;
  }
  switch (weight.kind) {
    case WeightKind::kProduct:
    case WeightKind::kConvolution:
      return HasKind(kind, weight.kind) ? kOtherWeight : kNoWeight;
    case WeightKind::kAttention:
      return kNoWeight;
    case WeightKind::kBatchedProduct:
      return kind.category == CategoryId::kAttention || IsExperts(kind) ? 0.3
             : HasKind(kind, WeightKind::kProduct)                      ? 0.01
                                                                        : kOtherWeight;
    case WeightKind::kTable:
    case WeightKind::kNone:
      break;
  }
  if (IsView(operator_name)) {
    return kView;
  }
  return category == CategoryId::kOther ? kUnknown : FitOfCategory(kind, category);
}

}  // namespace dsocr::attach
