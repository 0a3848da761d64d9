// The sums of one request while it is being recorded, by path; and what is left of them when it is reported, by module.
//
// Adding is O(1): an operation touches its own path alone (on a GPU, the union of intervals also the modules above it).
// Parents get their children's part once, when the request is reported. Memory: what the request touched, however many
// paths there are.
#ifndef DSOCR_CUPTI_ATTRIBUTION_REQUEST_SUMS_H_
#define DSOCR_CUPTI_ATTRIBUTION_REQUEST_SUMS_H_

#include <array>
#include <cstdint>
#include <vector>

#include "cupti/attribution/dictionary.h"
#include "cupti/attribution/operation_order.h"
#include "cupti/attribution/operator_category.h"
#include "cupti/attribution/sparse_index.h"
#include "cupti/attribution/sync_gaps.h"

namespace dsocr::attribution {

struct OperationSum {
  int64_t operations = 0;
  int64_t device_ns = 0;

  void Add(const OperationSum& other) {
    operations += other.operations;
    device_ns += other.device_ns;
  }
};

// Of operations whose module was inferred.
struct InferredSum {
  int64_t device_ns = 0;
  double weight = 0.0;  // device time x confidence

  void Add(const InferredSum& other) {
    device_ns += other.device_ns;
    weight += other.weight;
  }
};

struct ModuleTotals {
  int64_t calls = 0;
  int64_t wall_ns = 0;
  int64_t span_ns = 0;
  int64_t busy_ns = 0;
  int64_t self_device_ns = 0;
  InferredSum inferred;  // children included
  std::array<OperationSum, kCategoryCount> with_children{};
};

struct RequestTotals {
  OperationSum attributed;
  OperationSum unattributed;
  std::vector<ModuleTotals> modules;  // by the dictionary's module number
};

class RequestSums {
 public:
  // REQUIRES for all: `path` is in the dictionary and in the request.
  void AddCall(PathIndex path, int64_t wall_ns);
  // GPU: first operation's start to last operation's end of one call. The sum stays at its limit: hostile times may
  // claim more.
  void AddSpan(PathIndex path, int64_t span_ns);
  // A call that the host did not make, with its span.
  void AddReplayedCall(PathIndex path, int64_t span_ns);
  void AddRangeRecord() { ++range_records_; }
  void AddCpuOperation(const Dictionary& dictionary, PathIndex path, int category, int64_t start_ns, int64_t end_ns,
                       uint64_t nested_calls) {
    nested_calls_ += nested_calls;
    AddOperation(dictionary, path, category, start_ns, end_ns);
  }
  // They come about in the order of their start.
  void AddGpuOperation(const Dictionary& dictionary, const OrderedOperation& operation);
  // In one order with them, by its end.
  void AddWait(int64_t start_ns, int64_t end_ns) { sync_gaps_.AddWait(start_ns, end_ns); }
  // The first kernel has shown that operator calls are not this process's operations.
  void DropOperations();

  int64_t total_ns() const { return operation_records_ == 0 ? 0 : last_end_ns_ - first_start_ns_; }
  int64_t sync_gap_ns() const { return sync_gaps_.gap_ns(); }
  bool is_gpu() const { return is_gpu_; }
  uint64_t range_records() const { return range_records_; }
  uint64_t operation_records() const { return operation_records_; }
  uint64_t nested_calls() const { return nested_calls_; }

  // Nothing more is added.
  void Shrink();
  RequestTotals Totals(const Dictionary& dictionary) const;

 private:
  static constexpr uint32_t kNone = 0xffffffff;

  struct PathSum {
    PathIndex path = 0;
    uint32_t first_cell = kNone;
    uint32_t covers_begin = kNone;  // in cover_chain_; kNone: not asked yet
    uint32_t covers_end = kNone;
    int64_t calls = 0;
    int64_t wall_ns = 0;
    int64_t span_ns = 0;
    InferredSum inferred;
  };
  // Operations launched by a path itself, of one category.
  struct Cell {
    OperationSum sum;
    int category = 0;
    uint32_t next = kNone;
  };
  // The union of a module's intervals, swept in order of start.
  struct Cover {
    int64_t until_ns = 0;
    int64_t busy_ns = 0;
    int module = kNoModule;
  };

  PathSum& At(PathIndex path) {
    const uint32_t number = path_numbers_.At(path);
    if (number == paths_.size()) {
      paths_.push_back({.path = path});
    }
    return paths_[number];
  }
  OperationSum& CellOf(PathSum& sum, int category);
  void FindCovers(const Dictionary& dictionary, PathSum& sum);
  PathSum* AddOperation(const Dictionary& dictionary, PathIndex path, int category, int64_t start_ns, int64_t end_ns);

  SparseIndex path_numbers_;
  std::vector<PathSum> paths_;
  std::vector<Cell> cells_;
  SparseIndex cover_numbers_;
  std::vector<Cover> covers_;          // GPU only; by module
  std::vector<uint32_t> cover_chain_;  // of each path that launched something: the covers of the modules it is in
  OperationSum unattributed_;
  SyncGaps sync_gaps_;
  int64_t first_start_ns_ = 0;
  int64_t last_end_ns_ = 0;
  bool is_gpu_ = false;
  uint64_t range_records_ = 0;
  uint64_t operation_records_ = 0;
  uint64_t nested_calls_ = 0;
};

}  // namespace dsocr::attribution

#endif  // DSOCR_CUPTI_ATTRIBUTION_REQUEST_SUMS_H_
