#include "daemon/calibrate/routing_json.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/status.h"
#include "daemon/calibrate/strict_json.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace dsocr::calibrate {
namespace {

constexpr size_t kMostLayers = 4096;
constexpr int64_t kMostExperts = 65'536;
constexpr size_t kMostSourceBytes = 200;  // a word and a run's id

nlohmann::ordered_json StageJson(const analytic::StageRouting& stage) {
  nlohmann::ordered_json layers = nlohmann::ordered_json::array();
  for (const analytic::LayerPicks& layer : stage.layers()) {
    layers.push_back({{"layer", layer.layer}, {"picks", layer.picks}});
  }
  return layers;
}

absl::StatusOr<std::vector<analytic::LayerPicks>> ReadStage(const nlohmann::json& json, std::string_view stage) {
  std::vector<analytic::LayerPicks> layers;
  for (size_t i = 0; i < json.size(); ++i) {
    const std::string path = fmt::format("routing.{}[{}]", stage, i);
    ObjectReader reader(json[i], path + ".");
    analytic::LayerPicks& layer = layers.emplace_back();
    reader.Integer("layer", 0, kMostLayers, &layer.layer);
    const nlohmann::json* picks = reader.Array("picks", kMostExperts);
    DSOCR_RETURN_IF_ERROR(reader.Finish());
    for (const nlohmann::json& value : *picks) {
      if (!value.is_number_unsigned() || value.get<uint64_t>() > uint64_t{analytic::StageRouting::kMostTokens}) {
        return absl::InvalidArgumentError(
            fmt::format("{}.picks: not a list of counts up to {}", path, analytic::StageRouting::kMostTokens));
      }
      layer.picks.push_back(value.get<int64_t>());
    }
  }
  return layers;
}

absl::StatusOr<v1::Weights> ReadWeights(const nlohmann::json& json) {
  ObjectReader reader(json, "routing.weights.");
  v1::Weights weights;
  if (reader.Has("random_seed")) {
    int64_t seed = 0;
    reader.Integer("random_seed", INT64_MIN, INT64_MAX, &seed);
    weights.set_random_seed(seed);
  }
  if (reader.Has("path")) {
    reader.Text("path", weights.mutable_path());
  }
  if (reader.Has("revision")) {
    reader.Text("revision", weights.mutable_revision());
  }
  DSOCR_RETURN_IF_ERROR(reader.Finish());
  return weights;
}

}  // namespace

nlohmann::ordered_json RoutingJson(const RecordedRouting& recorded) {
  nlohmann::ordered_json weights = nlohmann::ordered_json::object();
  if (recorded.weights.has_random_seed()) {
    weights["random_seed"] = recorded.weights.random_seed();
  }
  if (recorded.weights.has_path()) {
    weights["path"] = recorded.weights.path();
  }
  if (recorded.weights.has_revision()) {
    weights["revision"] = recorded.weights.revision();
  }
  return {{"source", recorded.routing->source},
          {"weights", std::move(weights)},
          {"experts_per_token", recorded.routing->experts_per_token},
          {"prefill", StageJson(recorded.routing->prefill)},
          {"decode", StageJson(recorded.routing->decode)}};
}

absl::StatusOr<RecordedRouting> ParseRouting(const nlohmann::json& json) {
  ObjectReader reader(json, "routing.");
  std::string source;
  int64_t experts_per_token = 0;
  reader.Text("source", &source);
  if (source.size() > kMostSourceBytes ||
      std::any_of(source.begin(), source.end(), [](unsigned char c) { return c < 0x20; })) {
    reader.Refuse("source", fmt::format("not a line of at most {} bytes", kMostSourceBytes));
  }
  reader.Integer("experts_per_token", 1, kMostExperts, &experts_per_token);
  const nlohmann::json* weights = reader.Object("weights");
  const nlohmann::json* prefill = reader.Array("prefill", kMostLayers);
  const nlohmann::json* decode = reader.Array("decode", kMostLayers);
  DSOCR_RETURN_IF_ERROR(reader.Finish());
  RecordedRouting recorded;
  DSOCR_ASSIGN_OR_RETURN(recorded.weights, ReadWeights(*weights));
  DSOCR_ASSIGN_OR_RETURN(std::vector<analytic::LayerPicks> prefill_picks, ReadStage(*prefill, "prefill"));
  DSOCR_ASSIGN_OR_RETURN(std::vector<analytic::LayerPicks> decode_picks, ReadStage(*decode, "decode"));
  DSOCR_ASSIGN_OR_RETURN(recorded.routing, MakeRouting(std::move(source), experts_per_token, std::move(prefill_picks),
                                                       std::move(decode_picks)));
  return recorded;
}

}  // namespace dsocr::calibrate
