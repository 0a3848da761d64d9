#include "cupti/attribution/request_sums.h"

#include <algorithm>
#include <cassert>
#include <limits>

namespace dsocr::attribution {

namespace {

// Hostile times may claim more than fits.
void AddUpToLimit(int64_t* sum, int64_t more) {
  if (__builtin_add_overflow(*sum, more, sum)) {
    *sum = std::numeric_limits<int64_t>::max();
  }
}

}  // namespace

OperationSum& RequestSums::CellOf(PathSum& sum, int category) {
  for (uint32_t cell = sum.first_cell; cell != kNone; cell = cells_[cell].next) {
    if (cells_[cell].category == category) {
      return cells_[cell].sum;
    }
  }
  cells_.push_back({{}, category, sum.first_cell});
  sum.first_cell = static_cast<uint32_t>(cells_.size() - 1);
  return cells_.back().sum;
}

void RequestSums::AddCall(PathIndex path, int64_t wall_ns) {
  PathSum& sum = At(path);
  ++sum.calls;
  sum.wall_ns += wall_ns;
}

void RequestSums::AddSpan(PathIndex path, int64_t span_ns) { AddUpToLimit(&At(path).span_ns, span_ns); }

void RequestSums::AddReplayedCall(PathIndex path, int64_t span_ns) {
  PathSum& sum = At(path);
  ++sum.calls;
  AddUpToLimit(&sum.span_ns, span_ns);
}

RequestSums::PathSum* RequestSums::AddOperation(const Dictionary& dictionary, PathIndex path, int category,
                                                int64_t start_ns, int64_t end_ns) {
  first_start_ns_ = operation_records_ == 0 ? start_ns : std::min(first_start_ns_, start_ns);
  last_end_ns_ = operation_records_ == 0 ? end_ns : std::max(last_end_ns_, end_ns);
  ++operation_records_;
  const OperationSum one = {1, end_ns - start_ns};
  if (dictionary.path(path).module == kNoModule) {
    unattributed_.Add(one);
    return nullptr;
  }
  PathSum& sum = At(path);
  CellOf(sum, category).Add(one);
  return &sum;
}

void RequestSums::AddGpuOperation(const Dictionary& dictionary, const OrderedOperation& operation) {
  is_gpu_ = true;
  const int64_t start_ns = operation.start_ns;
  const int64_t end_ns = operation.end_ns;
  sync_gaps_.AddOperation(start_ns, end_ns);
  PathSum* sum = AddOperation(dictionary, operation.path, operation.category, start_ns, end_ns);
  if (sum == nullptr) {
    return;
  }
  if (operation.confidence > 0) {
    const int64_t device_ns = end_ns - start_ns;
    sum->inferred.Add({device_ns, static_cast<double>(device_ns) * operation.confidence});
  }
  if (sum->covers_begin == kNone) {
    FindCovers(dictionary, *sum);
  }
  for (uint32_t i = sum->covers_begin; i < sum->covers_end; ++i) {
    Cover& cover = covers_[cover_chain_[i]];
    if (end_ns > cover.until_ns) {
      cover.busy_ns += end_ns - std::max(start_ns, cover.until_ns);
      cover.until_ns = end_ns;
    }
  }
}

// Once a path and request: the modules that are entered by `sum`'s path or by one above it.
void RequestSums::FindCovers(const Dictionary& dictionary, PathSum& sum) {
  sum.covers_begin = static_cast<uint32_t>(cover_chain_.size());
  for (PathIndex above = sum.path; above != 0 && dictionary.path(above).in_request;
       above = dictionary.path(above).parent) {
    if (!dictionary.path(above).enters_module) {
      continue;
    }
    const int module = dictionary.path(above).module;
    const uint32_t cover = cover_numbers_.At(static_cast<uint32_t>(module));
    if (cover == covers_.size()) {
      covers_.push_back({.module = module});
    }
    cover_chain_.push_back(cover);
  }
  sum.covers_end = static_cast<uint32_t>(cover_chain_.size());
}

void RequestSums::DropOperations() {
  for (PathSum& sum : paths_) {
    sum.first_cell = kNone;
  }
  cells_.clear();
  unattributed_ = {};
  operation_records_ = nested_calls_ = 0;
}

void RequestSums::Shrink() {
  path_numbers_ = {};
  cover_numbers_ = {};
  paths_.shrink_to_fit();
  cells_.shrink_to_fit();
  covers_.shrink_to_fit();
  cover_chain_ = {};
}

RequestTotals RequestSums::Totals(const Dictionary& dictionary) const {
  RequestTotals totals;
  totals.unattributed = unattributed_;
  totals.modules.resize(dictionary.modules().size());
  std::vector<std::array<OperationSum, kCategoryCount>> with_children(dictionary.path_count());
  std::vector<InferredSum> inferred(dictionary.path_count());
  for (const PathSum& sum : paths_) {
    const Path& known = dictionary.path(sum.path);
    inferred[sum.path] = sum.inferred;
    for (uint32_t cell = sum.first_cell; cell != kNone; cell = cells_[cell].next) {
      with_children[sum.path][static_cast<size_t>(cells_[cell].category)].Add(cells_[cell].sum);
      totals.attributed.Add(cells_[cell].sum);
      totals.modules[known.module].self_device_ns += cells_[cell].sum.device_ns;
    }
    if (known.enters_module) {
      ModuleTotals& module = totals.modules[known.module];
      module.calls += sum.calls;
      module.wall_ns += sum.wall_ns;
      AddUpToLimit(&module.span_ns, sum.span_ns);
    }
  }
  // Children have higher numbers than their parents: one pass from the end hands every path's sums up.
  for (size_t path = with_children.size(); path-- > 1;) {
    const Path& known = dictionary.path(static_cast<PathIndex>(path));
    if (!known.in_request) {
      continue;
    }
    inferred[known.parent].Add(inferred[path]);
    if (known.enters_module) {
      totals.modules[known.module].inferred.Add(inferred[path]);
    }
    for (size_t category = 0; category < kCategoryCount; ++category) {
      with_children[known.parent][category].Add(with_children[path][category]);
      if (known.enters_module) {
        totals.modules[known.module].with_children[category].Add(with_children[path][category]);
      }
    }
  }
  for (const Cover& cover : covers_) {
    totals.modules[cover.module].busy_ns = cover.busy_ns;
  }
  assert(static_cast<uint64_t>(totals.attributed.operations + totals.unattributed.operations) == operation_records_);
  return totals;
}

}  // namespace dsocr::attribution
