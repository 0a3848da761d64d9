#include "analytic/routing.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

#include "absl/status/status.h"
#include "analytic/op/moe.h"
#include "base/status.h"
#include "fmt/format.h"

namespace dsocr::analytic {
namespace {

absl::Status BadLayer(const LayerPicks& layer, std::string_view why) {
  return absl::InvalidArgumentError(fmt::format("routing of layer {}: {}", layer.layer, why));
}

// `first`: the layer that says how many experts and tokens there are.
absl::Status CheckLayer(const LayerPicks& layer, const LayerPicks& first, int64_t experts_per_token) {
  const auto experts = static_cast<int64_t>(layer.picks.size());
  if (layer.picks.size() != first.picks.size() || experts < experts_per_token) {
    return BadLayer(layer, fmt::format("picks of {} experts, expected {} and at least {}", experts, first.picks.size(),
                                       experts_per_token));
  }
  for (const int64_t picks : layer.picks) {
    if (picks < 0 || picks > StageRouting::kMostTokens) {
      return BadLayer(layer, fmt::format("{} picks of an expert, expected 0 to {}", picks, StageRouting::kMostTokens));
    }
  }
  const auto sum_of = [](const LayerPicks& of) {
    return std::accumulate(of.picks.begin(), of.picks.end(), int64_t{0});
  };
  const int64_t sum = sum_of(layer);
  if (sum != sum_of(first) || sum % experts_per_token != 0 || sum / experts_per_token > StageRouting::kMostTokens) {
    return BadLayer(layer, fmt::format("{} picks, expected {} of each of at most {} tokens, and as many in every layer",
                                       sum, experts_per_token, StageRouting::kMostTokens));
  }
  const int64_t tokens = sum / experts_per_token;
  if (const int64_t most = *std::max_element(layer.picks.begin(), layer.picks.end()); most > tokens) {
    return BadLayer(layer, fmt::format("{} picks of an expert by {} tokens", most, tokens));
  }
  return absl::OkStatus();
}

bool AreExpertLayersOf(const StageRouting& stage, const DecoderSpec& decoder) {
  const std::vector<LayerPicks>& layers = stage.layers();
  if (static_cast<int64_t>(layers.size()) != decoder.layers - decoder.first_k_dense) {
    return false;
  }
  for (size_t i = 0; i < layers.size(); ++i) {
    if (layers[i].layer != decoder.first_k_dense + static_cast<int64_t>(i) ||
        static_cast<int64_t>(layers[i].picks.size()) != decoder.routed_experts) {
      return false;
    }
  }
  return true;
}

const StageRouting& StageOf(const Routing& routing, bool is_prefill) {
  return is_prefill ? routing.prefill : routing.decode;
}

}  // namespace

absl::StatusOr<StageRouting> StageRouting::Of(std::vector<LayerPicks> layers, int64_t experts_per_token) {
  if (experts_per_token < 1) {
    return absl::InvalidArgumentError(
        fmt::format("routing: {} experts a token, expected 1 or more", experts_per_token));
  }
  for (size_t i = 0; i < layers.size(); ++i) {
    if (layers[i].layer < 0 || (i > 0 && layers[i].layer <= layers[i - 1].layer)) {
      return BadLayer(layers[i], "not above the layer before it");
    }
    DSOCR_RETURN_IF_ERROR(CheckLayer(layers[i], layers.front(), experts_per_token));
  }
  StageRouting stage;
  if (!layers.empty()) {
    const std::vector<int64_t>& picks = layers.front().picks;
    stage.tokens_ = std::accumulate(picks.begin(), picks.end(), int64_t{0}) / experts_per_token;
    stage.layers_ = std::move(layers);
  }
  if (stage.tokens_ > 0) {
    stage.FillTable(experts_per_token);
  }
  return stage;
}

void StageRouting::FillTable(int64_t experts_per_token) {
  constexpr double kNever = 1e-18;  // is nothing beside the count of experts
  std::map<int64_t, int64_t> experts_by_picks;
  for (const LayerPicks& layer : layers_) {
    double none = 0;
    double one = 0;
    for (const int64_t picks : layer.picks) {
      ++experts_by_picks[picks];
      none += picks == 0 ? 1 : 0;
      one += picks == 1 ? 1 : 0;
    }
    if (none > 0) {
      const double even = static_cast<double>(experts_per_token) / static_cast<double>(layer.picks.size());
      unseen_.push_back({none, std::min(one / (static_cast<double>(tokens_) * none), even)});
    }
  }
  experts_by_picks.erase(0);

  // Experts with equally many picks share their chance of being missed; those with most come last, and drop out first.
  struct Alike {
    double picks;
    double experts;
    double missed;
  };
  std::vector<Alike> alike;
  double seen = 0;
  for (const auto& [picks, experts] : experts_by_picks) {
    alike.push_back({static_cast<double>(picks), static_cast<double>(experts), 1});
    seen += static_cast<double>(experts);
  }
  const auto n = static_cast<double>(tokens_);
  const auto layers = static_cast<double>(layers_.size());
  for (int64_t tokens = 0; tokens < tokens_; ++tokens) {
    double missed = 0;
    const auto drawn = static_cast<double>(tokens);
    for (Alike& experts : alike) {
      missed += experts.experts * experts.missed;
      experts.missed *= std::max(0.0, n - experts.picks - drawn) / (n - drawn);
    }
    distinct_.push_back((seen - missed) / layers);
    while (!alike.empty() && alike.back().missed < kNever) {
      alike.pop_back();
    }
  }
  distinct_.push_back(seen / layers);
  distinct_[1] = static_cast<double>(experts_per_token);  // which the sum is, but for its rounding
}

double StageRouting::DistinctExperts(int64_t tokens) const {
  if (tokens <= tokens_) {
    return distinct_[static_cast<size_t>(tokens)];
  }
  double found = 0;
  for (const Unseen& unseen : unseen_) {
    found += unseen.experts * (1 - std::pow(1 - unseen.share, static_cast<double>(tokens - tokens_)));
  }
  return distinct_.back() + found / static_cast<double>(layers_.size());
}

bool Routing::Fits(const DecoderSpec& decoder) const {
  return experts_per_token == decoder.experts_per_token && AreExpertLayersOf(prefill, decoder) &&
         (decode.tokens() == 0 || AreExpertLayersOf(decode, decoder));
}

bool IsRecorded(const DecoderSpec& decoder, bool is_prefill) {
  return decoder.routing != nullptr && StageOf(*decoder.routing, is_prefill).tokens() > 0;
}

double ExpertsHit(const DecoderSpec& decoder, bool is_prefill, int64_t tokens) {
  return IsRecorded(decoder, is_prefill)
             ? StageOf(*decoder.routing, is_prefill).DistinctExperts(tokens)
             : ExpectedDistinctExperts(decoder.routed_experts, decoder.experts_per_token, tokens);
}

}  // namespace dsocr::analytic
