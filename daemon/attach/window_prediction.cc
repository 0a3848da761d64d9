#include "daemon/attach/window_prediction.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <tuple>
#include <utility>
#include <vector>

#include "analytic/cost_model.h"
#include "analytic/module/frame.h"
#include "analytic/module/tree.h"
#include "base/status.h"

namespace dsocr::attach {
namespace {

using analytic::Frames;
using analytic::FrameSet;
using analytic::ImageLayout;
using analytic::ModelSpec;
using analytic::ModuleFigures;
using analytic::Workload;

constexpr int64_t kUsualTextTokens = 16;
constexpr int64_t kUsualNewTokens = 64;
constexpr size_t kBounds = analytic::kBoundCount;

// The page and its crops, as calls of the vision.
struct Views {
  View page;
  View crops;  // batch 0: none
};

// Crops are many and small.
Views ViewsOf(const ObservedRequest& request) {
  Views views;
  for (const View& view : request.views) {
    if (views.page.batch == 0) {
      views.page = view;
    } else if (views.crops.batch == 0) {
      views.crops = view;
    }
  }
  const auto is_page_before = [](const View& a, const View& b) {
    return a.batch != b.batch ? a.batch < b.batch : a.side > b.side;
  };
  if (views.crops.batch > 0 && is_page_before(views.crops, views.page)) {
    std::swap(views.page, views.crops);
  }
  return views;
}

// Crops of one sequence; 0: there are none, or they are not shared out evenly.
int64_t CropsOf(const ObservedRequest& request, const Views& views) {
  return views.crops.batch % request.batch == 0 ? views.crops.batch / request.batch : 0;
}

// A single view of `side`.
Workload ViewWorkload(int64_t batch, int64_t side, const Execution& execution) {
  Workload workload;
  workload.profile_id = "job";
  workload.base_size = workload.image_size = workload.page_width = workload.page_height = side;
  workload.batch = batch;
  workload.max_new_tokens = 1;
  workload.precision = execution.precision;
  workload.cuda_graphs = execution.cuda_graphs;
  return workload;
}

// The workload of a request, and the model that cuts its page into the crops that were seen.
Workload WorkloadOf(const ObservedRequest& request, const Execution& execution, ModelSpec* model) {
  const Views views = ViewsOf(request);
  Workload workload = ViewWorkload(request.batch, views.page.side, execution);
  workload.seq_len = request.seq_len;
  workload.max_new_tokens = request.steps + 1;
  const int64_t crops = CropsOf(request, views);
  if (crops < 2) {
    return workload;
  }
  const int64_t tile = views.crops.side;
  workload.crop_mode = true;
  workload.image_size = tile;
  model->preprocess.crop_tile_size = tile;
  model->preprocess.small_image_threshold = tile;
  model->preprocess.min_crops = std::min(model->preprocess.min_crops, crops);
  model->preprocess.max_crops = std::max(model->preprocess.max_crops, crops);
  // Grids from one column to one row; of those whose tokens the prompt holds, the most nearly square one.
  int64_t nearest = 0;
  for (int64_t wide = 1; wide <= crops; ++wide) {
    if (crops % wide != 0) {
      continue;
    }
    Workload candidate = workload;
    candidate.page_width = wide * tile;
    candidate.page_height = crops / wide * tile;
    const int64_t distance = std::abs(crops / wide - wide);
    if (nearest == 0 ||
        (distance < nearest && analytic::LayOutImage(*model, candidate).image_tokens() < request.seq_len)) {
      nearest = std::max<int64_t>(distance, 1);
      workload = candidate;
    }
  }
  return workload;
}

int64_t Times(int64_t figure, int64_t count) {
  int64_t product = 0;
  return __builtin_mul_overflow(figure, count, &product) ? INT64_MAX : product;
}

void Add(int64_t figure, int64_t count, int64_t* sum) {
  if (__builtin_add_overflow(*sum, Times(figure, count), sum)) {
    *sum = INT64_MAX;
  }
}

// Passes err together.
void AddSpread(const analytic::TimeSpread& spread, double times, analytic::TimeSpread* sum) {
  *sum += {spread.below_50 * times, spread.above_50 * times, spread.below_90 * times, spread.above_90 * times};
}

// The figures of a window while they are summed.
class WindowSum {
 public:
  WindowSum(const ModelSpec& model, analytic::Precision precision, const analytic::Device& device)
      : model_(model), precision_(precision), device_(device), tree_(analytic::BuildTree(model)) {
    const std::vector<ModuleFigures> nothing = analytic::Evaluate(tree_, Frames(), precision, device);
    figures_ = nothing;
    time_by_bound_.resize(nothing.size());
    longest_ns_.resize(nothing.size());
  }

  // The passes of `sets` of that request, `count` times; nothing where the sizes are beyond any that can be.
  void AddPasses(const Workload& workload, const ImageLayout& layout, std::initializer_list<FrameSet> sets,
                 int64_t count) {
    if (!CanBeCounted(workload, layout)) {
      return;
    }
    Frames all;
    analytic::SetFrames(model_, workload, layout, &all);
    Frames frames;
    for (const FrameSet set : sets) {
      frames.sets[static_cast<int>(set)] = all.Of(set);
    }
    const std::vector<ModuleFigures> added = analytic::Evaluate(tree_, frames, precision_, device_);
    for (size_t i = 0; i < figures_.size(); ++i) {
      AddFigures(added[i], count, i);
    }
  }

  // Of work alone; memory is 0.
  std::vector<ModuleFigures> Finish(int64_t requests) && {
    for (size_t i = 0; i < figures_.size(); ++i) {
      const auto longest = std::max_element(time_by_bound_[i].begin(), time_by_bound_[i].end());
      if (*longest > 0) {
        figures_[i].bound = static_cast<analytic::Bound>(longest - time_by_bound_[i].begin());
      }
    }
    figures_[0].calls = requests;
    return std::move(figures_);
  }

 private:
  // As CheckWorkload has it, but for the prompt, which may be shorter than the layout that was guessed.
  bool CanBeCounted(Workload workload, const ImageLayout& layout) const {
    const int64_t side = std::max(layout.global_side, model_.sam.patch_size);
    workload.base_size = workload.image_size = workload.page_width = workload.page_height = side;
    workload.crop_mode = false;
    workload.batch *= std::max<int64_t>(layout.num_crops, 1);
    workload.seq_len = std::max(workload.seq_len, analytic::LayOutImage(model_, workload).image_tokens() + 1);
    return analytic::CheckWorkload(model_, workload).ok();
  }

  void AddFigures(const ModuleFigures& added, int64_t count, size_t index) {
    ModuleFigures& sum = figures_[index];
    Add(added.calls, count, &sum.calls);
    Add(added.launches, count, &sum.launches);
    Add(added.flops, count, &sum.flops);
    Add(added.vector_flops, count, &sum.vector_flops);
    Add(added.io_bytes, count, &sum.io_bytes);
    Add(added.activation_elements, count, &sum.activation_elements);
    const auto times = static_cast<double>(count);
    sum.time_ns += added.time_ns * times;
    sum.self_time_ns += added.self_time_ns * times;
    AddSpread(added.spread, times, &sum.spread);
    if (added.time_ns > longest_ns_[index]) {
      longest_ns_[index] = added.time_ns;
      sum.provenance = added.provenance;
      sum.nearest = added.nearest;
      sum.nearest_distance = added.nearest_distance;
    }
    time_by_bound_[index][static_cast<size_t>(added.bound)] += added.time_ns * times;
    // A node has its categories whether it runs or not.
    for (size_t i = 0; i < sum.operators.size(); ++i) {
      analytic::CategoryFigures& category = sum.operators[i];
      Add(added.operators[i].calls, count, &category.calls);
      Add(added.operators[i].flops, count, &category.flops);
      Add(added.operators[i].vector_flops, count, &category.vector_flops);
      Add(added.operators[i].io_bytes, count, &category.io_bytes);
      category.time_ns += added.operators[i].time_ns * times;
      AddSpread(added.operators[i].spread, times, &category.spread);
    }
  }

  const ModelSpec& model_;
  const analytic::Precision precision_;
  const analytic::Device& device_;
  const analytic::ModuleTree tree_;
  std::vector<ModuleFigures> figures_;
  std::vector<std::array<double, kBounds>> time_by_bound_;
  std::vector<double> longest_ns_;  // of one pass
};

// What its layout says of rows and tokens; one page of one sequence.
ImageLayout LayoutOf(const ModelSpec& model, const ObservedRequest& request, const Execution& execution) {
  ModelSpec cut = model;
  const Workload workload = WorkloadOf(request, execution, &cut);
  return analytic::LayOutImage(cut, workload);
}

std::vector<ModuleFigures> FiguresOf(const ModelSpec& model, const std::map<ObservedRequest, int64_t>& requests,
                                     const Execution& execution, int64_t usual_seq_len,
                                     const analytic::Device& device) {
  // Equal passes are priced once.
  std::map<View, int64_t> views;
  std::map<ObservedRequest, int64_t> prefills;
  std::map<std::tuple<int64_t, int64_t, int64_t>, int64_t> decodes;  // batch, first context, steps
  int64_t seen = 0;
  for (const auto& [request, count] : requests) {
    seen += count;
    for (const View& view : request.views) {
      views[view] += count;
    }
    if (request.seq_len > 0) {
      prefills[{.views = request.views, .batch = request.batch, .seq_len = request.seq_len}] += count;
    }
    if (request.steps > 0) {
      decodes[{request.batch, request.seq_len > 0 ? request.seq_len : usual_seq_len, request.steps}] += count;
    }
  }
  WindowSum sum(model, execution.precision, device);
  for (const auto& [view, count] : views) {
    sum.AddPasses(ViewWorkload(view.batch, view.side, execution), {.global_side = view.side}, {FrameSet::kViews},
                  count);
  }
  for (const auto& [request, count] : prefills) {
    Workload workload = ViewWorkload(request.batch, 0, execution);
    workload.seq_len = request.seq_len;
    if (request.views.empty()) {
      sum.AddPasses(workload, {}, {FrameSet::kPrefill}, count);
    } else {
      sum.AddPasses(workload, LayoutOf(model, request, execution), {FrameSet::kRequest, FrameSet::kPrefill}, count);
    }
  }
  for (const auto& [steps, count] : decodes) {
    Workload workload = ViewWorkload(std::get<0>(steps), 0, execution);
    workload.seq_len = std::get<1>(steps);
    workload.max_new_tokens = std::get<2>(steps) + 1;
    sum.AddPasses(workload, {}, {FrameSet::kDecode}, count);
  }
  return std::move(sum).Finish(seen);
}

}  // namespace

Workload UsualWorkload(const ModelSpec& model, const Execution& execution) {
  Workload workload = ViewWorkload(1, model.sam.image_size, execution);
  workload.description = "no request of the job was seen from its beginning";
  workload.seq_len = analytic::LayOutImage(model, workload).image_tokens() + kUsualTextTokens;
  workload.max_new_tokens = kUsualNewTokens;
  return workload;
}

absl::StatusOr<WindowPrediction> PredictWindow(const ModelSpec& model,
                                               const std::map<ObservedRequest, int64_t>& requests,
                                               const Execution& execution, const analytic::Device& device) {
  DSOCR_RETURN_IF_ERROR(analytic::CheckModel(model));
  WindowPrediction window{.model = model, .workload = UsualWorkload(model, execution)};
  int64_t most = 0;
  for (const auto& [request, count] : requests) {
    ModelSpec cut = model;
    Workload workload = WorkloadOf(request, execution, &cut);
    workload.description = "the job's most frequent request";
    if (count > most && analytic::CheckWorkload(cut, workload).ok()) {
      most = count;
      window.model = std::move(cut);
      window.workload = std::move(workload);
    }
  }
  DSOCR_ASSIGN_OR_RETURN(window.prediction, analytic::Predict(window.model, window.workload, device));
  std::vector<ModuleFigures> figures = FiguresOf(model, requests, execution, window.workload.seq_len, device);
  for (size_t i = 0; i < figures.size(); ++i) {
    analytic::PredictedModule& module = window.prediction.modules[i];
    const ModuleFigures of_request = std::move(module.figures);
    module.figures = std::move(figures[i]);
    module.figures.parameters = of_request.parameters;
    module.figures.weight_bytes = of_request.weight_bytes;
    module.figures.peak_activation_bytes = of_request.peak_activation_bytes;
    module.figures.kv_cache_bytes = of_request.kv_cache_bytes;
    if (module.module_id == "decode") {
      module.repetition_count = module.figures.calls;
    }
  }
  return window;
}

}  // namespace dsocr::attach
