// The report of a job that was attached to and whose model is a DeepSeek-OCR: measured beside predicted.
//
//   auto model = Recognise(raw.job_modules, map);               // raw: the job's own names, as attributed so far
//   auto fold = JobFold::Create(*model);
//   while (records = reader.Next(), !records.empty()) (*fold)->Consume(records);   // the same records once more
//   auto report = BuildJobReport(*model, (*fold)->Finish(raw), input);
#ifndef DSOCR_DAEMON_ATTACH_JOB_REPORT_H_
#define DSOCR_DAEMON_ATTACH_JOB_REPORT_H_

#include <memory>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "analytic/device/device.h"
#include "analytic/precision.h"
#include "cupti/attribution/attribution.h"
#include "cupti/record/record.h"
#include "daemon/attach/recognise.h"
#include "daemon/attach/translate.h"
#include "daemon/report/report.h"
#include "dsocr/v1/report.pb.h"

namespace dsocr::attach {

// What was measured, by nodes of the module tree, and what was seen of requests.
struct JobMeasurement {
  attribution::Result result;
  Observation observation;
};

// A fold over the records of a job: translation and attribution. As Attribution: one caller at a time, memory
// independent of the length of the recording.
class JobFold {
 public:
  // `model` is copied. INTERNAL where its tree cannot be built.
  static absl::StatusOr<std::unique_ptr<JobFold>> Create(RecognisedModel model);
  ~JobFold();
  JobFold(const JobFold&) = delete;
  JobFold& operator=(const JobFold&) = delete;

  void Consume(std::span<const record::Record> records);

  // `raw`: of the same records, untranslated; what is not about modules is taken from it. REQUIRES: called once.
  JobMeasurement Finish(const attribution::Result& raw);

 private:
  struct State;
  explicit JobFold(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

struct JobReportInput {
  std::string report_id;
  std::string profile_run_id;
  std::string layer_docs_dir;  // absolute
  analytic::Device device;
  analytic::Precision precision = analytic::Precision::kBf16;  // of the job's weights, which its modules do not tell
  report::Recording recording;
  v1::Provenance provenance;
  std::string routing_note;  // as ReportInput has it
};

// Figures of the whole window, as contracts have it for attach and launch. Errors are PredictWindow's and
// JoinMeasurement's.
absl::StatusOr<v1::AnalyticModelReport> BuildJobReport(const RecognisedModel& model, const JobMeasurement& measured,
                                                       JobReportInput input);

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_JOB_REPORT_H_
