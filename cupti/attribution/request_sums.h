// The sums of one request while it is being recorded, by path; and what is left of them when it is over, by module.
//
// Adding is O(1): an operation touches its own path alone (on a GPU, the union of intervals also the modules above it).
// Parents get their children's part once, when the request is closed.
#ifndef DSOCR_CUPTI_ATTRIBUTION_REQUEST_SUMS_H_
#define DSOCR_CUPTI_ATTRIBUTION_REQUEST_SUMS_H_

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "cupti/attribution/dictionary.h"
#include "cupti/attribution/operator_category.h"

namespace dsocr::attribution {

struct OperationSum {
  int64_t operations = 0;
  int64_t device_ns = 0;
};

struct PathSum {
  int64_t calls = 0;
  int64_t wall_ns = 0;  // of calls that enter a module
  int64_t span_ns = 0;  // GPU: first operation's start to last operation's end, of each such call
  std::array<OperationSum, kCategoryCount> own{};  // operations launched by this path itself
};

struct ModuleTotals {
  int64_t calls = 0;
  int64_t wall_ns = 0;
  int64_t span_ns = 0;
  int64_t busy_ns = 0;
  int64_t self_device_ns = 0;
  std::array<OperationSum, kCategoryCount> with_children{};
};

struct FinishedRequest {
  int64_t total_ns = 0;
  OperationSum attributed;
  OperationSum unattributed;
  bool is_gpu = false;
  uint64_t range_records = 0;
  uint64_t operation_records = 0;
  uint64_t nested_calls = 0;
  std::vector<ModuleTotals> modules;  // by the dictionary's module number
};

class RequestSums {
 public:
  // REQUIRES for all: `path` is in the dictionary and in the request.
  void AddCall(record::PathId path, int64_t wall_ns);
  void AddSpan(record::PathId path, int64_t span_ns) { At(path).span_ns += span_ns; }
  void AddRangeRecord() { ++range_records_; }
  // `path` 0 outside of every module: unattributed. GPU operations come about in the order of their start.
  void AddOperation(const Dictionary& dictionary, const record::Operation& operation, record::PathId path, int category,
                    bool is_gpu);
  // The first kernel has shown that operator calls are not this process's operations.
  void DropOperations();

  bool has_operations() const { return operation_records_ > 0; }
  FinishedRequest Close(const Dictionary& dictionary) const;

 private:
  // The union of a module's intervals, swept in order of start.
  struct Cover {
    int64_t until_ns = 0;
    int64_t busy_ns = 0;
  };

  PathSum& At(record::PathId path);

  std::vector<PathSum> paths_;
  std::vector<Cover> covers_;  // by module; GPU only
  OperationSum unattributed_;
  int64_t first_start_ns_ = 0;
  int64_t last_end_ns_ = 0;
  bool is_gpu_ = false;
  uint64_t range_records_ = 0;
  uint64_t operation_records_ = 0;
  uint64_t nested_calls_ = 0;
};

}  // namespace dsocr::attribution

#endif  // DSOCR_CUPTI_ATTRIBUTION_REQUEST_SUMS_H_
