// How a router dealt tokens out to experts, as a run recorded it, and how many experts another number of tokens is
// expected to hit. It belongs to weights and data, not to a device.
//
// Of n recorded tokens expert e had n_e. T tokens drawn from them miss it with the probability
//
//   T <= n    C(n - n_e, T) / C(n, T)                       without replacement: rarefaction (Hurlbert, Ecology 52(4),
//                                                           1971), unbiased; T = n gives what was counted, T = 1 gives
//                                                           k
//   T >  n    0 if n_e > 0, else (1 - u)^(T - n),           u = min(f1 / (n f0), k / E): of f0 experts that none picked
//                                                           and f1 that one picked (Good, Biometrika 40, 1953)
//
// For n without bound the first is (1 - n_e / n)^T; that formula at finite n would say too few, for it draws some
// tokens twice. One recorded token gives the even law of ExpectedDistinctExperts (op/moe.h) for any T.
#ifndef DSOCR_ANALYTIC_ROUTING_H_
#define DSOCR_ANALYTIC_ROUTING_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "analytic/model_spec.h"

namespace dsocr::analytic {

struct LayerPicks {
  int64_t layer = 0;
  std::vector<int64_t> picks;  // tokens that picked it, by index of the expert
};

// Of one stage: image and prompt tokens route differently from generated ones. A value; safe from any thread.
class StageRouting {
 public:
  static constexpr int64_t kMostTokens = int64_t{1} << 17;

  StageRouting() = default;  // nothing was recorded

  // INVALID_ARGUMENT, naming the layer, unless layers ascend, have equally many experts, and all saw the same 0 to
  // kMostTokens tokens, each with `experts_per_token` picks.
  static absl::StatusOr<StageRouting> Of(std::vector<LayerPicks> layers, int64_t experts_per_token);

  const std::vector<LayerPicks>& layers() const { return layers_; }  // as given
  int64_t tokens() const { return tokens_; }

  // D(T), the mean over the layers. REQUIRES: tokens() > 0, tokens >= 0.
  double DistinctExperts(int64_t tokens) const;

 private:
  // Experts of a layer that none picked, and the chance of each with a token that is not recorded.
  struct Unseen {
    double experts;
    double share;
  };

  void FillTable(int64_t experts_per_token);

  std::vector<LayerPicks> layers_;
  int64_t tokens_ = 0;
  std::vector<double> distinct_;  // D(T) by T, 0 to tokens_
  std::vector<Unseen> unseen_;
};

struct Routing {
  std::string source;  // "run r-1842"
  int64_t experts_per_token = 0;
  StageRouting prefill;
  StageRouting decode;

  // Whether it is of a decoder's expert layers, experts and picks a token.
  bool Fits(const DecoderSpec& decoder) const;
};

// Distinct experts of a pass over `tokens` tokens: by decoder.routing where that has recorded such passes, else even.
double ExpertsHit(const DecoderSpec& decoder, bool is_prefill, int64_t tokens);
bool IsRecorded(const DecoderSpec& decoder, bool is_prefill);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_ROUTING_H_
