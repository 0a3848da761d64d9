#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "analytic/law/device_laws.h"
#include "analytic/precision.h"
#include "analytic/routing.h"
#include "daemon/catalog/model_config.h"
#include "daemon/catalog/sha256.h"
#include "daemon/report/report.h"
#include "fmt/format.h"

namespace dsocr::report {
namespace {

// A text that differs whenever two inputs do: every value behind its name, strings behind their length, doubles bit for
// bit.
class Canonical {
 public:
  void Add(std::string_view name, int64_t value) { text_ += fmt::format("{}={}\n", name, value); }
  void Add(std::string_view name, double value) { text_ += fmt::format("{}={:a}\n", name, value); }
  void Add(std::string_view name, std::string_view value) {
    text_ += fmt::format("{}={}:{}\n", name, value.size(), value);
  }

  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

void AddModel(const ReportInput& input, Canonical* out) {
  out->Add("model_id", input.model.model_id);
  out->Add("model_variant", input.model.variant);
  out->Add("config_path", input.config_path);
  out->Add("hf_revision", input.hf_revision.value_or(""));
  out->Add("config", catalog::ModelConfigJson(input.model));
  const v1::Weights& weights = input.provenance.weights();
  out->Add("weights_seed", weights.has_random_seed() ? std::to_string(weights.random_seed()) : "");
  out->Add("weights_path", weights.path());
  out->Add("weights_revision", weights.revision());
}

void AddRouting(const ReportInput& input, Canonical* out) {
  if (!input.routing_note.empty()) {
    out->Add("routing_note", input.routing_note);
  }
  const std::shared_ptr<const analytic::Routing>& routing = input.model.decoder.routing;
  if (routing == nullptr) {
    return;
  }
  for (const analytic::StageRouting* stage : {&routing->prefill, &routing->decode}) {
    for (const analytic::LayerPicks& layer : stage->layers()) {
      out->Add("layer", layer.layer);
      for (const int64_t picks : layer.picks) {
        out->Add("picks", picks);
      }
    }
  }
}

void AddWorkload(const analytic::Workload& workload, Canonical* out) {
  out->Add("profile_id", workload.profile_id);
  out->Add("description", workload.description);
  out->Add("seq_len", workload.seq_len);
  out->Add("base_size", workload.base_size);
  out->Add("image_size", workload.image_size);
  out->Add("crop_mode", int64_t{workload.crop_mode});
  out->Add("cuda_graphs", int64_t{workload.cuda_graphs});
  out->Add("page_width", workload.page_width);
  out->Add("page_height", workload.page_height);
  out->Add("max_new_tokens", workload.max_new_tokens);
  out->Add("doc_kind", static_cast<int64_t>(workload.doc_kind));
  out->Add("num_pages", workload.num_pages);
  out->Add("batch", workload.batch);
  out->Add("dtype", analytic::PrecisionName(workload.precision));
}

void AddDevice(const analytic::Device& device, Canonical* out) {
  out->Add("device", device.name);
  out->Add("device_kind", static_cast<int64_t>(device.kind));
  out->Add("matrix_bf16_flops_per_s", device.matrix_bf16_flops_per_s);
  out->Add("matrix_fp32_flops_per_s", device.matrix_fp32_flops_per_s);
  out->Add("vector_flops_per_s", device.vector_flops_per_s);
  out->Add("memory_bytes_per_s", device.memory_bytes_per_s);
  out->Add("memory_bytes", device.memory_bytes);
  out->Add("launch_ns", device.launch_ns);
  out->Add("sync_ns", device.sync_ns);
  out->Add("min_kernel_ns", device.min_kernel_ns);
  out->Add("device_source", device.source);
  out->Add("calibration_id", device.calibration_id);
  out->Add("measured_flops_per_s", device.measured_flops_per_s);
  if (device.laws != nullptr) {
    out->Add("laws_of", device.laws->model.device.name);
    for (const analytic::LawFit& fit : device.laws->model.fits) {
      out->Add("law", static_cast<int64_t>(fit.law_class));
      out->Add("law_dtype", static_cast<int64_t>(fit.precision));
      for (const std::vector<double>* numbers : {&fit.law, &fit.weights, &fit.spread}) {
        for (const double number : *numbers) {
          out->Add("number", number);
        }
      }
    }
  }
}

}  // namespace

std::string InputDigest(const ReportInput& input) {
  Canonical canonical;
  canonical.Add("tool_version", input.provenance.tool_version());
  AddModel(input, &canonical);
  AddRouting(input, &canonical);
  AddWorkload(input.workload, &canonical);
  AddDevice(input.device, &canonical);
  canonical.Add("operator_snapshot", input.operators ? input.operators->snapshot_id() : "");
  return catalog::Sha256Hex(canonical.text());
}

}  // namespace dsocr::report
