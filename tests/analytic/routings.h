// A routing for tests: uneven, and different in each layer and stage.
#ifndef DSOCR_TESTS_ANALYTIC_ROUTINGS_H_
#define DSOCR_TESTS_ANALYTIC_ROUTINGS_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "analytic/model_spec.h"
#include "analytic/routing.h"

namespace dsocr::analytic {

// Each token picks k neighbours, most of them in the lower half of the experts.
inline std::vector<LayerPicks> UnevenPicks(const DecoderSpec& decoder, int64_t tokens) {
  std::vector<LayerPicks> layers;
  for (int64_t layer = decoder.first_k_dense; layer < decoder.layers; ++layer) {
    std::vector<int64_t> picks(static_cast<size_t>(decoder.routed_experts));
    for (int64_t token = 0; token < tokens; ++token) {
      const int64_t spread = token % 5 == 0 ? decoder.routed_experts : decoder.routed_experts / 2;
      const int64_t first = (token * token + 3 * layer) % spread;
      for (int64_t i = 0; i < decoder.experts_per_token; ++i) {
        ++picks[static_cast<size_t>((first + i) % decoder.routed_experts)];
      }
    }
    layers.push_back({layer, std::move(picks)});
  }
  return layers;
}

inline std::shared_ptr<const Routing> UnevenRouting(const DecoderSpec& decoder, int64_t prefill_tokens,
                                                    int64_t decode_tokens) {
  const int64_t k = decoder.experts_per_token;
  return std::make_shared<const Routing>(Routing{.source = "run r-1",
                                                 .experts_per_token = k,
                                                 .prefill = *StageRouting::Of(UnevenPicks(decoder, prefill_tokens), k),
                                                 .decode = *StageRouting::Of(UnevenPicks(decoder, decode_tokens), k)});
}

}  // namespace dsocr::analytic

#endif  // DSOCR_TESTS_ANALYTIC_ROUTINGS_H_
