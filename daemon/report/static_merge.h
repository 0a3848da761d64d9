// The three ways of the static analyzer, merged stage by stage: isolated, then extracted, then closed formulas.
#ifndef DSOCR_DAEMON_REPORT_STATIC_MERGE_H_
#define DSOCR_DAEMON_REPORT_STATIC_MERGE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "analytic/model_spec.h"
#include "analytic/module/tree.h"
#include "analytic/stages.h"
#include "analytic/workload.h"
#include "daemon/report/static_trace.h"

namespace dsocr::report {

struct StageCompute {
  std::string name;
  std::string module_id;
  int64_t parameters = 0;
  std::string_view source;  // isolated, extracted or analytical: whose figures these are
  ComputeSums sums;
  std::map<int, ComputeSums> leaves;                // by index into StaticCompute::tree.nodes: in its order
  std::vector<analytic::CategoryFlops> categories;  // with FLOPs, in the order of the category list
  std::map<std::string, int64_t> operators;         // as traced, "aten::bmm"; empty without a trace of the stage alone
  std::optional<int64_t> flops_isolated;
  std::optional<int64_t> flops_extracted;
  int64_t flops_analytical = 0;
  std::vector<std::string> notes;  // why a way is missing, or that two differ
};

struct StaticCompute {
  analytic::ModuleTree tree;
  std::vector<StageCompute> stages;
  int64_t parameters = 0;
  ComputeSums sums;
  std::string not_traced;  // the note of every stage where there is no trace at all
};

// `answer`: what the runner printed, or why it was not asked or did not answer; neither fails the merge. Errors are
// those of AnalyzeStages. Pure.
absl::StatusOr<StaticCompute> MergeStatic(const analytic::ModelSpec& model, const analytic::Workload& workload,
                                          int64_t context, const absl::StatusOr<std::string>& answer);

}  // namespace dsocr::report

#endif  // DSOCR_DAEMON_REPORT_STATIC_MERGE_H_
