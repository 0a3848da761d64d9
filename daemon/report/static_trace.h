// What `dsocr-runner analyze` counted (docs/runner-protocol.md), read from hostile JSON and put onto the module tree.
#ifndef DSOCR_DAEMON_REPORT_STATIC_TRACE_H_
#define DSOCR_DAEMON_REPORT_STATIC_TRACE_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "analytic/module/tree.h"

namespace dsocr::report {

// FLOPs of matrix products and convolutions, and the elements that they write.
struct ComputeSums {
  int64_t flops = 0;
  int64_t activation_elements = 0;
};

// One trace: the sums of each leaf by the leaf's index in ModuleTree::nodes, and the FLOPs by operator ("aten::bmm").
struct LeafTrace {
  std::map<int, ComputeSums> leaves;
  std::map<std::string, int64_t> operators;

  ComputeSums Total() const;
  // The part below the node `module_id`, itself included. The operators are those of the whole trace.
  LeafTrace Below(const analytic::ModuleTree& tree, std::string_view module_id) const;
};

// An error of a trace is why it was not made; it says so in one line.
struct StaticTrace {
  absl::StatusOr<LeafTrace> extracted;
  std::map<std::string, absl::StatusOr<LeafTrace>, std::less<>> isolated;  // by stage
};

// INVALID_ARGUMENT, naming the place, for anything else than the runner's document. A trace in it is an error of its
// own where it has a range that is no leaf of `tree`, or a count that is negative or brings the sum over 2^59.
absl::StatusOr<StaticTrace> ParseStaticTrace(std::string_view json, const analytic::ModuleTree& tree);

}  // namespace dsocr::report

#endif  // DSOCR_DAEMON_REPORT_STATIC_TRACE_H_
