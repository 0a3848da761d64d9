#include "daemon/what_if/answer.h"

#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "analytic/what_if/scenario.h"
#include "analytic/what_if/sweep.h"
#include "analytic/what_if/tornado.h"
#include "analytic/what_if/what_if.h"
#include "base/status.h"
#include "daemon/report/units.h"
#include "daemon/what_if/baseline.h"
#include "fmt/format.h"

namespace dsocr::what_if {
namespace {

using analytic::Scenario;
using analytic::ScenarioPrice;

constexpr int kScenariosAPart = 50;  // 0.5 MB with the 150 modules of DeepSeek-OCR

absl::StatusOr<Scenario> ScenarioOf(const v1::WhatIfRequest& request) {
  Scenario scenario;
  // In the order of their names: page comes before page_width, which changes one side of it.
  const std::map<std::string, std::string> parameters(request.parameters().begin(), request.parameters().end());
  for (const auto& [key, value] : parameters) {
    DSOCR_ASSIGN_OR_RETURN(const analytic::KnobId knob, analytic::FindKnob(key));
    DSOCR_RETURN_IF_ERROR(analytic::SetKnob(knob, std::string_view(value), &scenario));
  }
  return scenario;
}

absl::StatusOr<analytic::SweepGrid> GridOf(const v1::WhatIfRequest& request, const Scenario& scenario) {
  std::vector<analytic::Sweep> sweeps;
  for (const std::string& text : request.sweeps()) {
    DSOCR_ASSIGN_OR_RETURN(const analytic::Sweep sweep, analytic::ParseSweep(text));
    sweeps.push_back(sweep);
  }
  if (request.tornado() && !sweeps.empty()) {
    return absl::InvalidArgumentError("tornado: it turns every knob around one scenario; leave the sweeps out");
  }
  DSOCR_ASSIGN_OR_RETURN(analytic::SweepGrid grid, analytic::SweepGrid::Make(scenario, std::move(sweeps)));
  const int64_t limit = request.totals_only() ? kMaxTotalsOnly : kMaxWithModules;
  if (grid.count() > limit) {
    return absl::InvalidArgumentError(fmt::format("sweeps: {} scenarios, at most {} are answered {}; give larger steps",
                                                  grid.count(), limit,
                                                  request.totals_only() ? "at once" : "with their modules"));
  }
  return grid;
}

v1::ParamValue ParamOf(const analytic::KnobValue& value) {
  v1::ParamValue param;
  if (const auto* integer = std::get_if<int64_t>(&value)) {
    param.set_int_value(*integer);
  } else if (const auto* real = std::get_if<double>(&value)) {
    param.set_float_value(*real);
  } else if (const auto* flag = std::get_if<bool>(&value)) {
    param.set_bool_value(*flag);
  } else {
    param.set_string_value(std::get<std::string>(value));
  }
  return param;
}

class Answerer {
 public:
  Answerer(ReportBaseline& baseline, bool totals_only) : what_if_(baseline.what_if), totals_only_(totals_only) {}

  absl::StatusOr<v1::WhatIfScenario> Price(const Scenario& scenario) {
    DSOCR_RETURN_IF_ERROR(what_if_.Price(scenario, &price_));
    if (!std::isfinite(price_.total_time_ns)) {
      return absl::InvalidArgumentError(
          "scenario: it takes longer than a double can say; give peak_tflops and memory_bandwidth_gbs of a device");
    }
    v1::WhatIfScenario priced = Describe(price_);
    for (const analytic::Parameter& parameter : analytic::ParametersOf(scenario)) {
      (*priced.mutable_parameters())[std::string(parameter.key)] = ParamOf(parameter.value);
    }
    return priced;
  }

  v1::WhatIfScenario Describe(const ScenarioPrice& price) const {
    v1::WhatIfScenario priced;
    priced.set_total_time_ms(report::Milliseconds(price.total_time_ns));
    priced.set_total_flops_tflops(report::Tflops(price.total_flops));
    v1::WhatIfMemory& memory = *priced.mutable_memory_gb();
    memory.set_weights(report::Gigabytes(price.memory.weight_bytes));
    memory.set_activations(report::Gigabytes(price.memory.activation_bytes));
    memory.set_kvcache(report::Gigabytes(price.memory.kv_cache_bytes));
    memory.set_total(report::Gigabytes(price.memory.total_bytes()));
    priced.set_fits(price.fits());
    priced.set_headroom_gb(report::Gigabytes(price.headroom_bytes()));
    priced.set_device_memory_gb(report::Gigabytes(price.device_memory_bytes));
    priced.set_devices(price.devices);
    priced.set_communication_ms(report::Milliseconds(price.communication_ns));
    for (size_t i = 0; i < price.modules.size() && !totals_only_; ++i) {
      v1::WhatIfModule& module = *priced.add_modules();
      module.set_module_id(what_if_.module_ids()[i]);
      module.set_time_ms(report::Milliseconds(price.modules[i].time_ns));
      module.set_flops_tf(report::Tflops(price.modules[i].flops));
    }
    return priced;
  }

  absl::Status AddTornado(const Scenario& scenario, v1::WhatIfResponse* response) {
    DSOCR_ASSIGN_OR_RETURN(const std::vector<analytic::TornadoBar> bars, analytic::Tornado(what_if_, scenario));
    const auto fill = [](const analytic::TornadoEnd& end, v1::WhatIfTornadoEnd* filled) {
      filled->set_value(end.value);
      filled->set_total_time_ms(report::Milliseconds(end.total_time_ns));
    };
    for (const analytic::TornadoBar& bar : bars) {
      v1::WhatIfTornadoBar& added = *response->add_tornado();
      added.set_parameter(std::string(analytic::Knobs()[static_cast<size_t>(bar.knob)].key));
      added.set_value(bar.value);
      if (bar.low) {
        fill(*bar.low, added.mutable_low());
      }
      if (bar.high) {
        fill(*bar.high, added.mutable_high());
      }
      added.set_swing_ms(report::Milliseconds(bar.swing_ns));
    }
    return absl::OkStatus();
  }

 private:
  analytic::WhatIf& what_if_;
  const bool totals_only_;
  ScenarioPrice price_;
};

v1::WhatIfResponse FirstPart(const v1::AnalyticModelReport& report, const ReportBaseline& baseline,
                             const Answerer& answerer) {
  v1::WhatIfResponse part;
  part.set_report_id(report.report_id());
  part.set_model_variant(report.model().model_variant());
  part.set_workload_profile_id(report.workload().profile_id());
  part.set_dtype(report.workload().dtype());
  part.set_device(report.provenance().device().name());
  *part.mutable_baseline() = answerer.Describe(baseline.price);
  for (const std::string& note : baseline.notes) {
    part.add_notes(note);
  }
  return part;
}

}  // namespace

absl::Status Answer(const v1::AnalyticModelReport& report, const v1::WhatIfRequest& request, store::Store* store,
                    const std::function<bool(const v1::WhatIfResponse&)>& send) {
  DSOCR_ASSIGN_OR_RETURN(const Scenario scenario, ScenarioOf(request));
  DSOCR_ASSIGN_OR_RETURN(const analytic::SweepGrid grid, GridOf(request, scenario));
  DSOCR_ASSIGN_OR_RETURN(ReportBaseline baseline, BaselineOf(report, store));
  Answerer answerer(baseline, request.totals_only());
  v1::WhatIfResponse part = FirstPart(report, baseline, answerer);
  if (request.tornado()) {
    DSOCR_RETURN_IF_ERROR(answerer.AddTornado(scenario, &part));
  }
  for (int64_t i = 0; i < grid.count(); ++i) {
    DSOCR_ASSIGN_OR_RETURN(const Scenario at, grid.At(i));
    DSOCR_ASSIGN_OR_RETURN(*part.add_scenarios(), answerer.Price(at));
    if (part.scenarios_size() == kScenariosAPart || i + 1 == grid.count()) {
      if (!send(part)) {
        return absl::CancelledError("call: the caller has gone; call again");
      }
      part.Clear();
    }
  }
  return absl::OkStatus();
}

}  // namespace dsocr::what_if
