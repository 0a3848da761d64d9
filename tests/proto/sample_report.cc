#include "tests/proto/sample_report.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace dsocr {
namespace {

struct Row {
  const char* module_id;
  const char* parent_id;  // null: the root
  v1::Stage stage;
  const char* category;
  double predicted_ms;
  double measured_ms;
  double self_ms;  // of the measurement
  double tflops;
  int64_t calls;
  v1::Bound bound;
};

const std::vector<Row>& Rows() {
  static const auto& rows = *new std::vector<Row>{
      {"deepseek_ocr", nullptr, v1::STAGE_OTHER, "gemm", 12000, 12500, 2.5, 3.5, 1, v1::BOUND_COMPUTE},
      {"vision", "deepseek_ocr", v1::STAGE_VISION, "gemm", 5000, 5600, 0, 2.25, 2, v1::BOUND_COMPUTE},
      {"vision/sam", "vision", v1::STAGE_VISION, "gemm", 4500, 5000, 5000, 1.75, 2, v1::BOUND_COMPUTE},
      {"vision/clip", "vision", v1::STAGE_VISION, "attention", 500, 600, 600, 0.5, 2, v1::BOUND_COMPUTE},
      {"projector", "deepseek_ocr", v1::STAGE_PROJECTOR, "gemm", 4, 3.25, 3.25, 0.00144, 1, v1::BOUND_COMPUTE},
      {"prefill", "deepseek_ocr", v1::STAGE_PREFILL, "gemm", 1500, 1900, 1900, 1.25, 1, v1::BOUND_COMPUTE},
      {"decode", "deepseek_ocr", v1::STAGE_DECODE, "gemv", 5496, 4987.25, 4987.25, 0.069, 63, v1::BOUND_MEMORY},
  };
  return rows;
}

void AddModel(v1::AnalyticModelReport* report) {
  v1::DeepSeekOCRModelSpec* model = report->mutable_model();
  model->set_model_id("deepseek-ai/DeepSeek-OCR");
  model->set_model_variant("deepseek-ocr-v1-base");
  model->set_config_path("/opt/dsocr/share/deepseek-ocr-v1-base.json");
  model->set_hidden_size(1280);
  model->set_intermediate_size(6848);
  model->set_num_layers(12);
  model->set_num_attention_heads(10);
  model->set_vision_backbone(v1::VISION_BACKBONE_SAM_VIT_B);
  model->set_uses_moe(true);
}

void AddWorkload(v1::AnalyticModelReport* report) {
  v1::OCRWorkloadProfile* workload = report->mutable_workload();
  workload->set_profile_id("dsocr-standard-v1");
  workload->set_description("one page: 600x600, crops on");
  workload->set_seq_len(512);
  workload->set_base_size(1024);
  workload->set_image_size(640);
  workload->set_crop_mode(true);
  workload->set_max_new_tokens(64);
  workload->set_doc_kind(v1::DOC_KIND_MIXED_LAYOUT);
  workload->set_num_pages(1);
  workload->set_page_width(600);
  workload->set_page_height(600);
  workload->add_crop_grid(1);
  workload->add_crop_grid(1);
  workload->set_image_tokens(273);
  workload->set_batch(1);
  workload->set_dtype("bf16");
}

void AddNode(const Row& row, v1::AnalyticModelReport* report) {
  v1::AnalyticModuleNode* node = report->add_modules();
  node->set_module_id(row.module_id);
  node->set_name(row.module_id);
  node->set_qualified_class_name("deepencoder.ImageEncoderViT");
  node->set_stage(row.stage);
  if (row.parent_id != nullptr) {
    node->set_parent_id(row.parent_id);
  }
  for (const Row& child : Rows()) {
    if (child.parent_id != nullptr && std::string(child.parent_id) == row.module_id) {
      node->add_children(child.module_id);
    }
  }
  node->set_repetition(row.calls > 2 ? v1::REPETITION_FOR : v1::REPETITION_NONE);
  node->set_repetition_count(row.calls > 2 ? row.calls : 1);
  (*node->mutable_constructor_params())["eps"].set_float_value(1e-6);
  (*node->mutable_constructor_params())["dim"].set_int_value(768);
  (*node->mutable_constructor_params())["scale"].set_float_value(1.0);
  (*node->mutable_constructor_params())["padding_idx"].set_int_value(-1);
  (*node->mutable_constructor_params())["act"].set_string_value("no");
  (*node->mutable_constructor_params())["bias"].set_bool_value(true);
  v1::Shape* shape = node->add_input_shapes();
  for (const int64_t dim : {1, 3, 1024, 1024}) {
    shape->add_dims(dim);
  }
  node->add_output_shapes();
}

void AddMetrics(const Row& row, v1::AnalyticModelReport* report) {
  v1::ModuleMetricsSnapshot* metrics = report->add_module_metrics();
  metrics->set_module_id(row.module_id);
  metrics->set_profile_id("dsocr-standard-v1");
  metrics->set_calls(row.calls);
  metrics->set_total_time_ms(row.predicted_ms);
  metrics->set_total_flops_tflops(row.tflops);
  metrics->set_total_io_tb(0.125);
  metrics->set_memory_weights_gb(0.5);
  metrics->set_share_of_model_time(row.predicted_ms / 12000);
  metrics->set_launches(4 * row.calls);
  metrics->set_bound(row.bound);
  metrics->set_prediction_source(v1::PREDICTION_SOURCE_DATASHEET);
  v1::OperatorMetrics* part = metrics->add_operator_breakdown();
  part->set_category_id(row.category);
  part->set_calls(row.calls);
  part->set_flops_tflops(row.tflops);
  part->set_share_of_module_flops(1);
  part->set_time_ms(row.predicted_ms);
}

void AddMeasurement(const Row& row, v1::AnalyticModelReport* report) {
  v1::ModuleMeasurement* measured = report->add_module_measurements();
  measured->set_module_id(row.module_id);
  measured->set_calls(row.calls);
  measured->set_wall_time_ms(row.measured_ms);
  measured->set_device_time_ms(row.measured_ms - 1);
  measured->set_self_device_time_ms(row.self_ms);
  measured->set_busy_time_ms(row.measured_ms - 1);
  measured->set_gap_time_ms(1);
  measured->set_launches(40 * row.calls);
  measured->set_predicted_time_ms(row.predicted_ms);
  measured->set_residual_ms(row.measured_ms - row.predicted_ms);
  measured->set_bound(row.bound);
  v1::MeasuredOperator* part = measured->add_operator_breakdown();
  part->set_category_id(row.category);
  part->set_calls(row.calls);
  part->set_device_time_ms(row.measured_ms - 1);
  part->set_predicted_time_ms(row.predicted_ms);
  part->set_share_of_module_time(1);
}

void AddStream(int64_t device, std::optional<int64_t> stream, int64_t recorded, int64_t dropped, int64_t pending,
               v1::Ledger* ledger) {
  v1::StreamLedger* row = ledger->add_streams();
  row->set_device(device);
  row->set_context(1);
  if (stream) {
    row->set_stream(*stream);
  }
  row->set_launched(recorded + dropped + pending);
  row->set_recorded(recorded);
  row->set_dropped(dropped);
  row->set_invalid(0);
  row->set_pending(pending);
}

void AddCapture(v1::Attribution* attribution) {
  v1::Ledger* ledger = attribution->mutable_ledger();
  ledger->set_launched(1204331);
  ledger->set_recorded(1204316);
  ledger->set_dropped(12);
  ledger->set_invalid(0);
  ledger->set_pending(3);
  AddStream(0, 7, 1204000, 0, 3, ledger);
  AddStream(0, 13, 316, 0, 0, ledger);
  AddStream(0, std::nullopt, 0, 12, 0, ledger);
  v1::GraphAttribution* graphs = attribution->mutable_graphs();
  graphs->set_launches(63);
  graphs->set_graphs(1);
  graphs->set_operations_captured(15120);
  graphs->set_operations_inferred(504);
  graphs->set_operations_unknown(8);
  graphs->set_inferred_confidence(0.97);
  v1::Sampling* sampling = attribution->mutable_sampling();
  sampling->set_budget_share(0.01);
  sampling->set_requests_seen(1000);
  sampling->set_requests_recorded(120);
  sampling->set_device_time_ms(812.5);
  sampling->add_device_time_95_ms(790.25);
  sampling->add_device_time_95_ms(834.75);
  v1::AgentCost* agent = attribution->mutable_agent();
  agent->set_callback_time_ms(410.5);
  agent->set_decode_time_ms(96.25);
  agent->set_time_per_record_ns(420.75);
  agent->set_memory_mb(41.5);
  attribution->set_wait_time_ms(220.5);
  attribution->set_sync_gap_time_ms(12.75);
  attribution->set_tracing_overhead_time_ms(1.25);
  attribution->set_memory_peak_gb(8.125);
  for (const auto& [code, text] :
       {std::pair(
            "stalled",
            "records stopped: 96 launches without one when it was noticed; what is missing is pending or dropped"),
        std::pair("recovered", "records came again 12 ms after the stall was noticed")}) {
    v1::Incident* incident = attribution->add_incidents();
    incident->set_code(code);
    incident->set_text(text);
    incident->set_count(1);
  }
}

void AddPart(v1::ResidualCause cause, double residual_ms, const char* text, v1::Residual* residual) {
  v1::ResidualPart* part = residual->add_parts();
  part->set_cause(cause);
  part->set_residual_ms(residual_ms);
  part->set_text(text);
}

void AddResidual(v1::Residual* residual) {
  residual->set_residual_ms(500);
  AddPart(v1::RESIDUAL_CAUSE_OPERATORS, 500, "gemm operators 4.2 % slower than predicted", residual);
  v1::ResidualPart* gemm = residual->mutable_parts(0);
  gemm->set_category_id("gemm");
  gemm->set_module_id("vision/sam");
  gemm->mutable_input_shape()->add_dims(1);
  gemm->mutable_input_shape()->add_dims(4096);
  gemm->mutable_input_shape()->add_dims(768);
  AddPart(v1::RESIDUAL_CAUSE_HOST_GAPS, -37.75, "less time between operations than predicted", residual);
  AddPart(v1::RESIDUAL_CAUSE_TRACING, 36.25, "the cost of recording", residual);
  AddPart(v1::RESIDUAL_CAUSE_UNATTRIBUTED, 1.5, "operations that belong to no module", residual);
}

}  // namespace

v1::AnalyticModelReport PredictedOnly() {
  v1::AnalyticModelReport report;
  report.set_report_id("r-20260101-120000-ab12");
  AddModel(&report);
  AddWorkload(&report);
  for (const char* id : {"gemm", "gemv", "attention"}) {
    v1::OperatorCategory* category = report.add_operator_categories();
    category->set_category_id(id);
    category->set_display_name(id);
    category->add_match_classes("torch.nn.Linear");
  }
  for (const Row& row : Rows()) {
    AddNode(row, &report);
    AddMetrics(row, &report);
  }
  report.set_predicted_total_time_ms(12000);
  report.set_layer_docs_dir("/home/u/tmp/profile-output/r-20260101-120000-ab12/static_analysis/analytic_model/layers");
  v1::Provenance* provenance = report.mutable_provenance();
  provenance->set_tool_version("0.1.0");
  provenance->set_started_at("2026-01-01T12:00:00Z");
  provenance->mutable_device()->set_name("AMD EPYC");
  provenance->mutable_device()->set_kind("cpu");
  provenance->mutable_device()->set_cores(2);
  provenance->set_dtype("bf16");
  provenance->mutable_weights()->set_random_seed(0);
  return report;
}

v1::AnalyticModelReport SampleReport() {
  v1::AnalyticModelReport report = PredictedOnly();
  for (const Row& row : Rows()) {
    AddMeasurement(row, &report);
  }
  report.set_profile_run_id("r-20260101-120000-ab12");
  report.set_measured_total_time_ms(12500);
  report.set_predicted_vs_measured_ratio(0.96);
  v1::Attribution* attribution = report.mutable_attribution();
  attribution->set_attributed_device_time_ms(12490.5);
  attribution->set_unattributed_device_time_ms(1.5);
  attribution->set_attributed_share(0.99988);
  attribution->set_operations(92688);
  attribution->set_operations_unattributed(3);
  attribution->set_records_received(98000);
  attribution->set_agent_cost_ms(36.25);
  attribution->set_route(v1::ROUTE_LAUNCH);
  AddResidual(report.mutable_residual());
  report.mutable_provenance()->set_duration_ms(81000);
  report.mutable_provenance()->set_repeats(1);
  report.mutable_provenance()->set_warmup(1);
  return report;
}

v1::AnalyticModelReport SampleGpuReport() {
  v1::AnalyticModelReport report = SampleReport();
  report.mutable_provenance()->mutable_device()->set_name("NVIDIA H200");
  report.mutable_provenance()->mutable_device()->set_kind("cuda");
  report.mutable_provenance()->mutable_device()->set_cores(132);
  report.mutable_attribution()->set_records_received(1302331);
  report.mutable_attribution()->set_records_dropped(12);
  AddCapture(report.mutable_attribution());
  for (v1::ModuleMeasurement& measurement : *report.mutable_module_measurements()) {
    if (measurement.module_id() == "decode") {
      measurement.set_inferred_device_time_ms(160.5);
      measurement.set_inferred_confidence(0.97);
    }
  }
  return report;
}

}  // namespace dsocr
