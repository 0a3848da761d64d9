// The report: what the model must cost, and, joined to it on module ids, what a run did cost.
//
// The join is exact. Measured figures stay integers of nanoseconds until they are printed as milliseconds, and the
// parts are checked against the whole before anything is handed out. Nothing here reads a clock, a file or the
// environment, so equal inputs give equal reports, byte for byte. Pure functions; safe from any thread.
#ifndef DSOCR_DAEMON_REPORT_REPORT_H_
#define DSOCR_DAEMON_REPORT_REPORT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "analytic/device/device.h"
#include "analytic/model_spec.h"
#include "analytic/prediction.h"
#include "analytic/workload.h"
#include "cupti/attribution/attribution.h"
#include "daemon/report/contention.h"
#include "dsocr/v1/analytic.pb.h"
#include "dsocr/v1/operators.pb.h"
#include "dsocr/v1/report.pb.h"

namespace dsocr::report {

struct ReportInput {
  std::string report_id;
  analytic::ModelSpec model;
  std::string config_path;  // absolute
  std::optional<std::string> hf_revision;
  analytic::Workload workload;
  analytic::Device device;
  v1::Provenance provenance;
  std::string layer_docs_dir;  // absolute
  std::optional<std::string> profile_run_id;
  std::optional<v1::TargetOperatorList> operators;  // nullopt: the built-in list
  std::string routing_note;                         // what the notes say of model.decoder.routing; empty: nothing
};

// The model as contracts show it.
v1::DeepSeekOCRModelSpec DescribeModel(const analytic::ModelSpec& model, std::string config_path,
                                       const std::optional<std::string>& hf_revision);

// The predicted half, complete; the contract's validation holds. Errors are Predict's.
absl::StatusOr<v1::AnalyticModelReport> BuildReport(const ReportInput& input);

// The same from a prediction at hand. REQUIRES: Predict(input.model, input.workload, input.device) gave it.
v1::AnalyticModelReport BuildReport(const ReportInput& input, const analytic::Prediction& prediction);

// Of a run with 2 to so many requests a report keeps the time of every module in each: with 160 modules as many values
// as all the rest of it has.
inline constexpr int kMostRepeats = 200;

// How the records of a measurement came about.
struct Recording {
  v1::Route route = v1::ROUTE_UNSPECIFIED;
  double overhead_budget = 0.0;  // share of the job's time; 0: none
  Contention contention = {};    // nothing where nobody knows
};

// Adds the measured half to BuildReport's report of the same input: one ModuleMeasurement a node (zeros where it did
// not run), Attribution, measured_total_time_ms, the ratio and the residual. The caller sets profile_run_id and
// provenance.
//
// FAILED_PRECONDITION if no request was measured (the total is 0 ns). INTERNAL, naming the figures, if attributed +
// unattributed or the self times of all modules do not add up to the nanosecond, or if a measured module is no node of
// the tree. The report is unchanged on error.
absl::Status JoinMeasurement(const attribution::Result& measured, const analytic::Prediction& prediction,
                             const ReportInput& input, const Recording& recording, v1::AnalyticModelReport* report);

// Experts of one layer that at least one token picked, as counted in the job, and how many tokens picked each.
struct ExpertsHit {
  int64_t layer = 0;
  int64_t prefill = 0;
  int64_t decode = 0;                  // summed over the steps
  std::vector<int64_t> prefill_picks;  // by index of the expert; empty where no token was seen
  std::vector<int64_t> decode_picks;
};

// INVALID_ARGUMENT, naming the layer, for counts that no request of `input` can have: layers, experts or tokens that
// are not the model's and the workload's, picks that are not so many a token, other experts hit than have picks. No
// layers at all are fine: nobody counted.
absl::Status CheckExpertsHit(const std::vector<ExpertsHit>& layers, const ReportInput& input);

// Adds distinct_experts, the mean over its calls, and expert_picks to the measurement of each module of routed experts.
// A layer that has none, by the tree, is left out.
void AddExpertsHit(const std::vector<ExpertsHit>& layers, const analytic::Prediction& prediction,
                   v1::AnalyticModelReport* report);

// Adds a note where dsocr-runner dispatched other operators than the census says (analytic/census.h): routed experts by
// more than 2 %, for the router has a say in them, any other module by one. A module that was called more or less often
// than predicted is left out, for the residual has that. REQUIRES: a report of JoinMeasurement for a CPU.
void AddCensusNote(const analytic::Prediction& prediction, v1::AnalyticModelReport* report);

// A job whose model is not known: the tree of the range paths that were seen, below one root, and what was measured
// there. model, workload and the prediction are null. Errors as JoinMeasurement.
absl::StatusOr<v1::AnalyticModelReport> BuildUnrecognisedReport(const attribution::Result& measured,
                                                                const Recording& recording, std::string report_id,
                                                                std::string profile_run_id, std::string layer_docs_dir,
                                                                v1::Provenance provenance);

// How to attribute the records of dsocr-runner: ranges to nodes, leaves of one category to it, the root range is a
// request; a CUDA graph that nobody saw captured is a decode step. The options own what they need; they may outlive
// `prediction`.
attribution::Options AttributionOptions(const analytic::Prediction& prediction, int warmup);

// top_modules: the kTopModules leaves with the largest share of the predicted time (of the measured time where nothing
// was predicted), largest first.
inline constexpr int kTopModules = 10;
inline constexpr int kTopResidualParts = 3;
v1::DeepSeekOCRAnalyticReportSummary Summarize(const v1::AnalyticModelReport& report);

v1::DeepSeekOCRAnalyticModel ModelOf(const v1::AnalyticModelReport& report);

// 64 hex digits: SHA-256 over model spec, weights or config, every workload value, device with its calibration, dtype,
// operator snapshot and tool version. Two inputs with equal digests give equal predictions.
std::string InputDigest(const ReportInput& input);

}  // namespace dsocr::report

#endif  // DSOCR_DAEMON_REPORT_REPORT_H_
