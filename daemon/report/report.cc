#include "daemon/report/report.h"

#include <utility>
#include <variant>
#include <vector>

#include "analytic/category.h"
#include "analytic/law/device_laws.h"
#include "base/status.h"
#include "daemon/catalog/models.h"
#include "daemon/catalog/operator_snapshot.h"
#include "daemon/catalog/workload_file.h"
#include "daemon/report/parts.h"
#include "daemon/report/units.h"
#include "fmt/format.h"

namespace dsocr::report {
namespace {

using analytic::CategoryFigures;
using analytic::ModuleFigures;
using analytic::PredictedModule;
using analytic::Prediction;

v1::Stage StageOf(analytic::Stage stage) {
  switch (stage) {
    case analytic::Stage::kVision:
      return v1::STAGE_VISION;
    case analytic::Stage::kProjector:
      return v1::STAGE_PROJECTOR;
    case analytic::Stage::kPrefill:
      return v1::STAGE_PREFILL;
    case analytic::Stage::kDecode:
      return v1::STAGE_DECODE;
    case analytic::Stage::kOther:
      return v1::STAGE_OTHER;
  }
  return v1::STAGE_UNSPECIFIED;
}

v1::Repetition RepetitionOf(analytic::Repetition repetition) {
  switch (repetition) {
    case analytic::Repetition::kNone:
      return v1::REPETITION_NONE;
    case analytic::Repetition::kFor:
      return v1::REPETITION_FOR;
    case analytic::Repetition::kParfor:
      return v1::REPETITION_PARFOR;
  }
  return v1::REPETITION_UNSPECIFIED;
}

v1::ParamValue ParamOf(const analytic::ParamValue& value) {
  v1::ParamValue param;
  if (const auto* integer = std::get_if<int64_t>(&value)) {
    param.set_int_value(*integer);
  } else if (const auto* real = std::get_if<double>(&value)) {
    param.set_float_value(*real);
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    param.set_string_value(*text);
  } else {
    param.set_bool_value(std::get<bool>(value));
  }
  return param;
}

v1::Shape ShapeOf(const analytic::Shape& dims) {
  v1::Shape shape;
  shape.mutable_dims()->Add(dims.begin(), dims.end());
  return shape;
}

std::string EncoderText(const analytic::ClipSpec& clip) { return fmt::format("CLIP ({} layers)", clip.layers); }

std::string EncoderText(const analytic::QueryEncoderSpec& encoder) {
  return fmt::format("a Qwen2 decoder ({} layers) with learned queries", encoder.layers);
}

v1::AnalyticModuleNode NodeOf(const Prediction& prediction, const PredictedModule& module) {
  v1::AnalyticModuleNode node;
  node.set_module_id(module.module_id);
  node.set_name(module.name);
  node.set_qualified_class_name(module.qualified_class_name);
  node.set_stage(StageOf(module.stage));
  if (module.parent >= 0) {
    node.set_parent_id(prediction.modules[module.parent].module_id);
  }
  for (const int child : module.children) {
    node.add_children(prediction.modules[child].module_id);
  }
  node.set_repetition(RepetitionOf(module.repetition));
  node.set_repetition_count(module.repetition_count);
  for (const auto& [name, value] : module.constructor_params) {
    (*node.mutable_constructor_params())[name] = ParamOf(value);
  }
  for (const analytic::Shape& shape : module.input_shapes) {
    *node.add_input_shapes() = ShapeOf(shape);
  }
  for (const analytic::Shape& shape : module.output_shapes) {
    *node.add_output_shapes() = ShapeOf(shape);
  }
  return node;
}

v1::PredictionSource SourceOf(analytic::Provenance provenance) {
  switch (provenance) {
    case analytic::Provenance::kExact:
      return v1::PREDICTION_SOURCE_EXACT;
    case analytic::Provenance::kInterpolated:
      return v1::PREDICTION_SOURCE_INTERPOLATED;
    case analytic::Provenance::kExtrapolated:
      return v1::PREDICTION_SOURCE_EXTRAPOLATED;
    case analytic::Provenance::kTransferred:
      return v1::PREDICTION_SOURCE_TRANSFERRED;
    case analytic::Provenance::kDatasheet:
      return v1::PREDICTION_SOURCE_DATASHEET;
  }
  return v1::PREDICTION_SOURCE_UNSPECIFIED;
}

void AddInterval(double ns, double below_ns, double above_ns, google::protobuf::RepeatedField<double>* interval) {
  interval->Add(Milliseconds(ns - below_ns));
  interval->Add(Milliseconds(ns + above_ns));
}

v1::ModuleMetricsSnapshot MetricsOf(const PredictedModule& module, const std::string& profile_id, double model_time_ns,
                                    const analytic::DeviceLaws* laws) {
  const ModuleFigures& figures = module.figures;
  v1::ModuleMetricsSnapshot metrics;
  metrics.set_module_id(module.module_id);
  metrics.set_profile_id(profile_id);
  metrics.set_calls(figures.calls);
  metrics.set_total_time_ms(Milliseconds(figures.time_ns));
  metrics.set_total_flops_tflops(Tflops(figures.flops));
  metrics.set_total_io_tb(Terabits(figures.io_bytes));
  metrics.set_memory_weights_gb(Gigabytes(figures.weight_bytes));
  metrics.set_memory_activations_gb(Gigabytes(figures.peak_activation_bytes));
  metrics.set_memory_kvcache_gb(Gigabytes(figures.kv_cache_bytes));
  metrics.set_share_of_model_time(Share(figures.time_ns, model_time_ns));
  for (const CategoryFigures& category : figures.operators) {
    v1::OperatorMetrics& op = *metrics.add_operator_breakdown();
    op.set_category_id(std::string(category.category_id));
    op.set_calls(category.calls);
    op.set_flops_tflops(Tflops(category.flops));
    op.set_io_tb(Terabits(category.io_bytes));
    op.set_share_of_module_flops(Share(static_cast<double>(category.flops), static_cast<double>(figures.flops)));
    op.set_time_ms(Milliseconds(category.time_ns));
    AddInterval(category.time_ns, category.spread.below_90, category.spread.above_90, op.mutable_interval_90_ms());
  }
  metrics.set_self_time_ms(Milliseconds(figures.self_time_ns));
  metrics.set_idle_time_ms(Milliseconds(figures.idle_ns));
  metrics.set_vector_flops_tflops(Tflops(figures.vector_flops));
  metrics.set_launches(figures.launches);
  metrics.set_bound(BoundOf(figures.bound));
  AddInterval(figures.time_ns, figures.spread.below_50, figures.spread.above_50, metrics.mutable_interval_50_ms());
  AddInterval(figures.time_ns, figures.spread.below_90, figures.spread.above_90, metrics.mutable_interval_90_ms());
  metrics.set_prediction_source(SourceOf(figures.provenance));
  if (laws != nullptr && figures.nearest >= 0) {
    metrics.set_nearest_operator(DescribeSize(laws->model.samples[static_cast<size_t>(figures.nearest)].size));
    metrics.set_nearest_distance_octaves(figures.nearest_distance);
  }
  return metrics;
}

constexpr double kShareRounding = 1e-9;  // a sum of rounded parts may pass 1 by this much and is no drift

// Where the times come from, and every share above 1: parts that outgrow their whole are the estimator's drift.
std::string NotesOf(const ReportInput& input, const v1::AnalyticModelReport& report) {
  std::string notes =
      input.device.calibration_id.empty()
          ? fmt::format("predicted for {} from datasheet figures ({})", input.device.name, input.device.source)
          : fmt::format("predicted for {} from its calibration", input.device.name);
  if (!input.routing_note.empty()) {
    notes += fmt::format("; {}", input.routing_note);
  }
  for (const v1::ModuleMetricsSnapshot& metrics : report.module_metrics()) {
    if (metrics.share_of_model_time() > 1 + kShareRounding) {
      notes += fmt::format("; estimator drift: {} takes {:.4f} of the model's time", metrics.module_id(),
                           metrics.share_of_model_time());
    }
  }
  return notes;
}

}  // namespace

v1::Bound BoundOf(analytic::Bound bound) {
  switch (bound) {
    case analytic::Bound::kCompute:
      return v1::BOUND_COMPUTE;
    case analytic::Bound::kMemory:
      return v1::BOUND_MEMORY;
    case analytic::Bound::kL2:
      return v1::BOUND_L2;
    case analytic::Bound::kLatency:
      return v1::BOUND_LATENCY;
    case analytic::Bound::kLaunch:
      return v1::BOUND_LAUNCH;
    case analytic::Bound::kHost:
      return v1::BOUND_HOST;
  }
  return v1::BOUND_UNSPECIFIED;
}

v1::DeepSeekOCRModelSpec DescribeModel(const analytic::ModelSpec& model, std::string config_path,
                                       const std::optional<std::string>& hf_revision) {
  const analytic::DecoderSpec& decoder = model.decoder;
  v1::DeepSeekOCRModelSpec spec;
  spec.set_model_id(model.model_id);
  spec.set_model_variant(model.variant);
  if (hf_revision) {
    spec.set_hf_revision(*hf_revision);
  }
  spec.set_config_path(std::move(config_path));
  spec.set_hidden_size(decoder.hidden_size);
  spec.set_intermediate_size(decoder.intermediate_size);
  spec.set_num_layers(decoder.layers);
  spec.set_num_attention_heads(decoder.heads);
  spec.set_vision_backbone(v1::VISION_BACKBONE_SAM_VIT_B);
  spec.set_uses_moe(decoder.first_k_dense < decoder.layers);
  spec.set_notes(fmt::format(
      "{}SAM ViT ({} blocks) sees the pixels, {} its output; decoder: {} dense and {} expert layers, {} of {} "
      "routed experts a token, {} shared",
      catalog::IsExecutable(model) ? "" : "analytic only; ", model.sam.layers,
      std::visit([](const auto& encoder) { return EncoderText(encoder); }, model.encoder), decoder.first_k_dense,
      decoder.layers - decoder.first_k_dense, decoder.experts_per_token, decoder.routed_experts,
      decoder.shared_experts));
  return spec;
}

void AddOperatorCategories(v1::AnalyticModelReport* report) {
  for (const analytic::Category& category : analytic::Categories()) {
    v1::OperatorCategory& entity = *report->add_operator_categories();
    entity.set_category_id(std::string(category.id));
    entity.set_display_name(std::string(category.display_name));
    entity.set_description(std::string(category.description));
    for (const std::string_view match_class : category.match_classes) {
      entity.add_match_classes(std::string(match_class));
    }
  }
}

v1::AnalyticModelReport BuildReport(const ReportInput& input, const Prediction& prediction) {
  const double model_time_ns = prediction.modules.front().figures.time_ns;
  v1::AnalyticModelReport report;
  report.set_report_id(input.report_id);
  *report.mutable_model() = DescribeModel(input.model, input.config_path, input.hf_revision);
  *report.mutable_workload() = catalog::ProfileOf(input.model, input.workload);
  report.mutable_modules()->Reserve(static_cast<int>(prediction.modules.size()));
  report.mutable_module_metrics()->Reserve(static_cast<int>(prediction.modules.size()));
  for (const PredictedModule& module : prediction.modules) {
    *report.add_modules() = NodeOf(prediction, module);
    *report.add_module_metrics() = MetricsOf(module, input.workload.profile_id, model_time_ns, input.device.laws.get());
  }
  if (input.operators) {
    for (v1::OperatorCategory& category : catalog::CategoriesOf(*input.operators)) {
      *report.add_operator_categories() = std::move(category);
    }
  } else {
    AddOperatorCategories(&report);
  }
  if (input.profile_run_id) {
    report.set_profile_run_id(*input.profile_run_id);
  }
  report.set_predicted_total_time_ms(Milliseconds(model_time_ns));
  report.set_notes(NotesOf(input, report));
  report.set_layer_docs_dir(input.layer_docs_dir);
  *report.mutable_provenance() = input.provenance;
  return report;
}

absl::StatusOr<v1::AnalyticModelReport> BuildReport(const ReportInput& input) {
  DSOCR_ASSIGN_OR_RETURN(const Prediction prediction, analytic::Predict(input.model, input.workload, input.device));
  return BuildReport(input, prediction);
}

v1::DeepSeekOCRAnalyticModel ModelOf(const v1::AnalyticModelReport& report) {
  v1::DeepSeekOCRAnalyticModel model;
  model.set_report_id(report.report_id());
  if (report.has_model()) {
    *model.mutable_model() = report.model();
  }
  if (report.has_workload()) {
    *model.mutable_workload() = report.workload();
  }
  *model.mutable_modules() = report.modules();
  *model.mutable_operator_categories() = report.operator_categories();
  *model.mutable_module_metrics() = report.module_metrics();
  if (report.has_profile_run_id()) {
    model.set_profile_run_id(report.profile_run_id());
  }
  return model;
}

}  // namespace dsocr::report
