#include "daemon/export/csv.h"

#include <algorithm>
#include <string_view>

#include "daemon/export/index.h"
#include "proto/document.h"

namespace dsocr::exporter {
namespace {

// RFC 4180: quoted where a comma, quote or line break would be misread, quotes doubled.
std::string Field(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) {
    return std::string(text);
  }
  std::string quoted = "\"";
  for (const char c : text) {
    quoted += c == '"' ? "\"\"" : std::string(1, c);
  }
  return quoted + '"';
}

// A row's fields, appended in the order of the header.
class Row {
 public:
  explicit Row(std::string* out) : out_(out) {}
  ~Row() { *out_ += "\r\n"; }

  void Text(std::string_view text) { Add(Field(text)); }
  void Count(int64_t count) { Add(std::to_string(count)); }
  void Number(double number) { Add(document::FormatDouble(number)); }
  void Nothing(int fields) {
    for (; fields > 0; --fields) {
      Add("");
    }
  }

 private:
  void Add(std::string_view field) {
    *out_ += first_ ? "" : ",";
    *out_ += field;
    first_ = false;
  }

  std::string* out_;
  bool first_ = true;
};

// predicted, then measured: the same order as in the rows below.
constexpr std::string_view kHeader[] = {"module_id",
                                        "name",
                                        "stage",
                                        "parent_id",
                                        "qualified_class_name",
                                        "repetition",
                                        "repetition_count",
                                        "calls",
                                        "predicted_time_ms",
                                        "self_time_ms",
                                        "share_of_model_time",
                                        "total_flops_tflops",
                                        "vector_flops_tflops",
                                        "total_io_tb",
                                        "memory_weights_gb",
                                        "memory_activations_gb",
                                        "memory_kvcache_gb",
                                        "launches",
                                        "bound",
                                        "measured_calls",
                                        "measured_time_ms",
                                        "predicted_vs_measured_ratio",
                                        "residual_ms",
                                        "wall_time_ms",
                                        "device_time_ms",
                                        "self_device_time_ms",
                                        "busy_time_ms",
                                        "gap_time_ms",
                                        "measured_launches",
                                        "p50_ms",
                                        "p95_ms",
                                        "mfu",
                                        "measured_bound"};
constexpr int kPredictedFields = 12;
constexpr int kMeasuredFields = 14;

void AddPredicted(const v1::ModuleMetricsSnapshot& metrics, Row* row) {
  row->Count(metrics.calls());
  row->Number(metrics.total_time_ms());
  row->Number(metrics.self_time_ms());
  row->Number(metrics.share_of_model_time());
  row->Number(metrics.total_flops_tflops());
  row->Number(metrics.vector_flops_tflops());
  row->Number(metrics.total_io_tb());
  row->Number(metrics.memory_weights_gb());
  row->Number(metrics.memory_activations_gb());
  row->Number(metrics.memory_kvcache_gb());
  row->Count(metrics.launches());
  row->Text(BoundWord(metrics.bound()));
}

void AddMeasured(const v1::ModuleMeasurement& measured, Row* row) {
  const double time_ms = measured.busy_time_ms() + measured.gap_time_ms();
  row->Count(measured.calls());
  row->Number(time_ms);
  if (measured.has_predicted_time_ms() && time_ms > 0) {
    row->Number(measured.predicted_time_ms() / time_ms);
  } else {
    row->Nothing(1);
  }
  if (measured.has_residual_ms()) {
    row->Number(measured.residual_ms());
  } else {
    row->Nothing(1);
  }
  row->Number(measured.wall_time_ms());
  row->Number(measured.device_time_ms());
  row->Number(measured.self_device_time_ms());
  row->Number(measured.busy_time_ms());
  row->Number(measured.gap_time_ms());
  row->Count(measured.launches());
  row->Number(measured.p50_ms());
  row->Number(measured.p95_ms());
  if (measured.has_mfu()) {
    row->Number(measured.mfu());
  } else {
    row->Nothing(1);
  }
  row->Text(BoundWord(measured.bound()));
}

}  // namespace

std::string ToCsv(const v1::AnalyticModelReport& report) {
  const ReportIndex index(report);
  std::string csv;
  {
    Row header(&csv);
    for (const std::string_view name : kHeader) {
      header.Text(name);
    }
  }
  for (const v1::AnalyticModuleNode& node : report.modules()) {
    Row row(&csv);
    row.Text(node.module_id());
    row.Text(node.name());
    row.Text(StageWord(node.stage()));
    row.Text(node.parent_id());
    row.Text(node.qualified_class_name());
    row.Text(RepetitionWord(node.repetition()));
    row.Count(node.repetition_count());
    if (const auto* metrics = index.metrics(node.module_id())) {
      AddPredicted(*metrics, &row);
    } else {
      row.Nothing(kPredictedFields);
    }
    if (const auto* measured = index.measurement(node.module_id())) {
      AddMeasured(*measured, &row);
    } else {
      row.Nothing(kMeasuredFields);
    }
  }
  return csv;
}

}  // namespace dsocr::exporter
