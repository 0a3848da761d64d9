#include "cupti/attribution/request_sums.h"

#include <algorithm>
#include <cassert>

namespace dsocr::attribution {

PathSum& RequestSums::At(record::PathId path) {
  if (path >= paths_.size()) {
    paths_.resize(path + 1);
  }
  return paths_[path];
}

void RequestSums::AddCall(record::PathId path, int64_t wall_ns) {
  PathSum& sum = At(path);
  ++sum.calls;
  sum.wall_ns += wall_ns;
}

void RequestSums::AddOperation(const Dictionary& dictionary, const record::Operation& operation, record::PathId path,
                               int category, bool is_gpu) {
  const int64_t duration_ns = operation.end_ns - operation.start_ns;
  first_start_ns_ = operation_records_ == 0 ? operation.start_ns : std::min(first_start_ns_, operation.start_ns);
  last_end_ns_ = operation_records_ == 0 ? operation.end_ns : std::max(last_end_ns_, operation.end_ns);
  is_gpu_ = is_gpu;
  ++operation_records_;
  nested_calls_ += is_gpu ? 0 : operation.detail;
  const int module = dictionary.path(path).module;
  OperationSum& sum = module == kNoModule ? unattributed_ : At(path).own[category];
  ++sum.operations;
  sum.device_ns += duration_ns;
  if (!is_gpu) {
    return;
  }
  covers_.resize(std::max(covers_.size(), dictionary.modules().size()));
  for (record::PathId above = path; above != 0 && dictionary.path(above).in_request;
       above = dictionary.path(above).parent) {
    if (!dictionary.path(above).enters_module) {
      continue;
    }
    Cover& cover = covers_[dictionary.path(above).module];
    cover.busy_ns += std::max<int64_t>(0, operation.end_ns - std::max(operation.start_ns, cover.until_ns));
    cover.until_ns = std::max(cover.until_ns, operation.end_ns);
  }
}

void RequestSums::DropOperations() {
  for (PathSum& sum : paths_) {
    sum.own = {};
  }
  unattributed_ = {};
  operation_records_ = nested_calls_ = 0;
}

FinishedRequest RequestSums::Close(const Dictionary& dictionary) const {
  FinishedRequest request;
  request.total_ns = operation_records_ == 0 ? 0 : last_end_ns_ - first_start_ns_;
  request.unattributed = unattributed_;
  request.is_gpu = is_gpu_;
  request.range_records = range_records_;
  request.operation_records = operation_records_;
  request.nested_calls = nested_calls_;
  request.modules.resize(dictionary.modules().size());
  // Children have higher numbers than their parents: one pass from the end hands every path's sums up.
  std::vector<std::array<OperationSum, kCategoryCount>> with_children(paths_.size());
  for (size_t path = paths_.size(); path-- > 1;) {
    const Path& known = dictionary.path(static_cast<record::PathId>(path));
    const PathSum& sum = paths_[path];
    if (!known.in_request) {
      continue;
    }
    for (size_t category = 0; category < kCategoryCount; ++category) {
      const OperationSum& own = sum.own[category];
      OperationSum& inclusive = with_children[path][category];
      inclusive.operations += own.operations;
      inclusive.device_ns += own.device_ns;
      with_children[known.parent][category].operations += inclusive.operations;
      with_children[known.parent][category].device_ns += inclusive.device_ns;
      if (known.module != kNoModule) {
        request.attributed.operations += own.operations;
        request.attributed.device_ns += own.device_ns;
        request.modules[known.module].self_device_ns += own.device_ns;
        if (known.enters_module) {
          request.modules[known.module].with_children[category].operations += inclusive.operations;
          request.modules[known.module].with_children[category].device_ns += inclusive.device_ns;
        }
      }
    }
    if (known.enters_module) {
      ModuleTotals& module = request.modules[known.module];
      module.calls += sum.calls;
      module.wall_ns += sum.wall_ns;
      module.span_ns += sum.span_ns;
    }
  }
  for (size_t module = 0; module < covers_.size(); ++module) {
    request.modules[module].busy_ns = covers_[module].busy_ns;
  }
  assert(static_cast<uint64_t>(request.attributed.operations + request.unattributed.operations) == operation_records_);
  return request;
}

}  // namespace dsocr::attribution
