#include "daemon/attach/job_report.h"

#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/status.h"
#include "daemon/attach/translate_operators.h"
#include "daemon/attach/window_prediction.h"
#include "daemon/catalog/models.h"
#include "daemon/report/measured.h"
#include "fmt/format.h"

namespace dsocr::attach {
namespace {

using attribution::ModuleSum;

constexpr size_t kLongestPath = 4096;

// Any: the tree and its categories do not depend on it.
const analytic::Device& AnyDevice() { return analytic::DeviceCatalogue().front(); }

attribution::Options WindowOptions(const analytic::Prediction& prediction) {
  attribution::Options options = report::AttributionOptions(prediction, 0);
  options.request_range.clear();  // all is one window
  return options;
}

// Each module's inferred time is its own and its children's.
void SetInferred(const std::map<std::string, Inferred>& inferred, const analytic::Prediction& prediction,
                 attribution::RequestSum* request) {
  std::vector<Inferred> sums(prediction.modules.size());
  for (const auto& [id, own] : inferred) {
    for (int i = prediction.module_of_range.at(id); i >= 0; i = prediction.modules[static_cast<size_t>(i)].parent) {
      sums[static_cast<size_t>(i)].device_ns += own.device_ns;
      sums[static_cast<size_t>(i)].sure_ns += own.sure_ns;
    }
  }
  for (ModuleSum& module : request->modules) {
    const Inferred& sum = sums[static_cast<size_t>(prediction.module_of_range.at(module.module_id))];
    if (sum.device_ns > 0) {
      module.inferred_ns = sum.device_ns;
      module.inferred_confidence = sum.sure_ns / static_cast<double>(sum.device_ns);
    }
  }
}

// A job that launches a graph a step, or more (vLLM: one for what is between two layers' attention), replays its
// decode.
bool ReplaysDecode(const attribution::Result& measured, const Observation& observation) {
  int64_t steps = 0;
  for (const auto& [request, count] : observation.requests) {
    steps += request.steps * count;
  }
  return measured.gpu && steps > 0 && measured.gpu->graphs.launches >= steps;
}

}  // namespace

struct JobFold::State {
  State(RecognisedModel recognised, analytic::Prediction predicted)
      : model(std::move(recognised)), prediction(std::move(predicted)), attribution(WindowOptions(prediction)) {
    const auto attribute = [this](const record::Record& record) { attribution.Consume(record); };
    if (model.names_modules) {
      by_modules.emplace(model, prediction.module_of_range, attribute);
    } else {
      by_operators.emplace(model.model, attribute);
    }
  }

  void Consume(const record::Record& record) {
    by_modules ? by_modules->Consume(record) : by_operators->Consume(record);
  }

  OperatorObservation Finish() {
    return by_modules ? OperatorObservation{.observation = by_modules->Finish(), .inferred = {}}
                      : by_operators->Finish();
  }

  const RecognisedModel model;
  const analytic::Prediction prediction;
  attribution::Attribution attribution;
  std::optional<Translator> by_modules;  // either
  std::optional<OperatorTranslator> by_operators;
};

JobFold::JobFold(std::unique_ptr<State> state) : state_(std::move(state)) {}
JobFold::~JobFold() = default;

absl::StatusOr<std::unique_ptr<JobFold>> JobFold::Create(RecognisedModel model) {
  const analytic::Workload usual = UsualWorkload(model.model, Execution());
  absl::StatusOr<analytic::Prediction> prediction = analytic::Predict(model.model, usual, AnyDevice());
  if (!prediction.ok()) {
    return absl::InternalError(
        fmt::format("attaching: no module tree for the job's model: {}", std::string(prediction.status().message())));
  }
  return std::unique_ptr<JobFold>(new JobFold(std::make_unique<State>(std::move(model), *std::move(prediction))));
}

void JobFold::Consume(std::span<const record::Record> records) {
  for (const record::Record& record : records) {
    state_->Consume(record);
  }
}

JobMeasurement JobFold::Finish(const attribution::Result& raw) {
  OperatorObservation observed = state_->Finish();
  JobMeasurement measured{.result = raw, .observation = std::move(observed.observation)};
  attribution::Result translated = state_->attribution.Finish();
  measured.result.request = std::move(translated.request);
  measured.result.request_total_ns = std::move(translated.request_total_ns);
  measured.result.unknown_ranges.clear();
  if (measured.result.gpu && translated.gpu) {
    measured.result.gpu->graphs = translated.gpu->graphs;
  }
  absl::flat_hash_map<std::string, int64_t> resumed;
  for (const auto& [id, count] : measured.observation.resumed) {
    if (const auto node = state_->prediction.module_of_range.find(id);
        node != state_->prediction.module_of_range.end()) {
      resumed[state_->prediction.modules[static_cast<size_t>(node->second)].module_id] += count;
    }
  }
  for (ModuleSum& sum : measured.result.request.modules) {
    const auto found = resumed.find(sum.module_id);
    if (found == resumed.end()) {
      continue;
    }
    // Quantiles would be those of pieces.
    sum.calls = std::max<int64_t>(1, sum.calls - found->second);
    sum.p50_ns = sum.p95_ns = (sum.busy_ns + sum.gap_ns) / sum.calls;
  }
  SetInferred(observed.inferred, state_->prediction, &measured.result.request);
  return measured;
}

absl::StatusOr<v1::AnalyticModelReport> BuildJobReport(const RecognisedModel& model, const JobMeasurement& measured,
                                                       JobReportInput input) {
  const Observation& observation = measured.observation;
  const Execution execution{
      .precision = input.precision,
      .cuda_graphs = input.device.kind == analytic::DeviceKind::kCuda && ReplaysDecode(measured.result, observation)};
  DSOCR_ASSIGN_OR_RETURN(const WindowPrediction window,
                         PredictWindow(model.model, observation.requests, execution, input.device));
  report::ReportInput whole;
  whole.report_id = std::move(input.report_id);
  whole.model = window.model;
  whole.config_path = catalog::BuiltInConfigPath(model.model.variant);
  whole.workload = window.workload;
  whole.device = std::move(input.device);
  whole.provenance = std::move(input.provenance);
  whole.provenance.set_cuda_graphs(execution.cuda_graphs);
  whole.routing_note = std::move(input.routing_note);
  whole.layer_docs_dir = std::move(input.layer_docs_dir);
  whole.profile_run_id = std::move(input.profile_run_id);
  v1::AnalyticModelReport report = report::BuildReport(whole, window.prediction);
  std::vector<std::string> remarks = model.remarks;
  if (execution.cuda_graphs) {
    remarks.push_back("decode is predicted as replays of CUDA graphs, which the job was seen to launch");
  }
  for (const std::string& remark : remarks) {
    report.set_notes(fmt::format("{}; {}", report.notes(), remark));
  }
  DSOCR_RETURN_IF_ERROR(report::JoinMeasurement(measured.result, window.prediction, whole, input.recording, &report));

  std::map<int, std::set<std::string>> job_paths;
  for (const auto& [id, paths] : observation.job_paths) {
    if (const auto node = window.prediction.module_of_range.find(id); node != window.prediction.module_of_range.end()) {
      job_paths[node->second].insert(paths.begin(), paths.end());
    }
  }
  for (const auto& [module, paths] : job_paths) {
    for (const std::string& path : paths) {
      report.mutable_module_measurements(module)->add_job_paths(report::Sanitized(path, kLongestPath));
    }
  }
  return report;
}

}  // namespace dsocr::attach
