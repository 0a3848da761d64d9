#include <algorithm>
#include <cstdint>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "analytic/routing.h"
#include "base/status.h"
#include "daemon/report/report.h"
#include "fmt/format.h"

namespace dsocr::report {
namespace {

struct StageHits {
  std::string_view name;
  int64_t ExpertsHit::*hit;
  std::vector<int64_t> ExpertsHit::*picks;
};
constexpr StageHits kStageHits[] = {{"prefill", &ExpertsHit::prefill, &ExpertsHit::prefill_picks},
                                    {"decode", &ExpertsHit::decode, &ExpertsHit::decode_picks}};

absl::StatusOr<analytic::StageRouting> RoutingIn(const StageHits& stage, const std::vector<ExpertsHit>& layers,
                                                 int64_t experts_per_token) {
  std::vector<analytic::LayerPicks> picks;
  for (const ExpertsHit& layer : layers) {
    if (!(layer.*stage.picks).empty()) {
      picks.push_back({layer.layer, layer.*stage.picks});
    }
  }
  return analytic::StageRouting::Of(std::move(picks), experts_per_token);
}

}  // namespace

absl::Status CheckExpertsHit(const std::vector<ExpertsHit>& layers, const ReportInput& input) {
  if (layers.empty()) {
    return absl::OkStatus();
  }
  const analytic::DecoderSpec& decoder = input.model.decoder;
  const analytic::Workload& workload = input.workload;
  analytic::Routing routing = {
      .source = "", .experts_per_token = decoder.experts_per_token, .prefill = {}, .decode = {}};
  DSOCR_ASSIGN_OR_RETURN(routing.prefill, RoutingIn(kStageHits[0], layers, decoder.experts_per_token));
  DSOCR_ASSIGN_OR_RETURN(routing.decode, RoutingIn(kStageHits[1], layers, decoder.experts_per_token));
  const std::pair<int64_t, int64_t> tokens = {routing.prefill.tokens(), routing.decode.tokens()};
  const std::pair<int64_t, int64_t> expected = {workload.batch * workload.seq_len,
                                                workload.batch * (workload.max_new_tokens - 1)};
  if (tokens != expected || !routing.Fits(decoder)) {
    return absl::InvalidArgumentError(
        fmt::format("routing of {} layers, {} tokens in prefill and {} in decode: expected layers {} to {} of {} "
                    "experts, {} and {}",
                    layers.size(), tokens.first, tokens.second, decoder.first_k_dense, decoder.layers - 1,
                    decoder.routed_experts, expected.first, expected.second));
  }
  for (const ExpertsHit& layer : layers) {
    for (const StageHits& stage : kStageHits) {
      const std::vector<int64_t>& picks = layer.*stage.picks;
      const auto picked = static_cast<int64_t>(picks.size()) - std::count(picks.begin(), picks.end(), 0);
      // In prefill, one pass, just those; over the steps of decode every one at least once, and none without a pick.
      const int64_t most = stage.name == "prefill" ? picked : expected.second * decoder.experts_per_token;
      if (const int64_t hit = layer.*stage.hit; hit < picked || hit > most) {
        return absl::InvalidArgumentError(fmt::format("routing of layer {}: {} experts hit in {}, {} have picks",
                                                      layer.layer, hit, stage.name, picked));
      }
    }
  }
  return absl::OkStatus();
}

void AddExpertsHit(const std::vector<ExpertsHit>& layers, const analytic::Prediction& prediction,
                   v1::AnalyticModelReport* report) {
  std::map<int, double> hit_in_module;
  for (const ExpertsHit& layer : layers) {
    for (const StageHits& stage : kStageHits) {
      const auto module =
          prediction.module_of_range.find(fmt::format("{}/layer[{}]/moe/experts", stage.name, layer.layer));
      if (module == prediction.module_of_range.end()) {
        continue;
      }
      hit_in_module[module->second] += static_cast<double>(layer.*stage.hit);
      if (const std::vector<int64_t>& picks = layer.*stage.picks; !picks.empty()) {
        v1::ExpertPicks& added = *report->mutable_module_measurements(module->second)->add_expert_picks();
        added.set_layer(layer.layer);
        added.mutable_picks()->Assign(picks.begin(), picks.end());
      }
    }
  }
  for (const auto& [module, hit] : hit_in_module) {
    v1::ModuleMeasurement& measurement = *report->mutable_module_measurements(module);
    if (measurement.calls() > 0) {
      measurement.set_distinct_experts(hit / static_cast<double>(measurement.calls()));
    }
  }
}

}  // namespace dsocr::report
