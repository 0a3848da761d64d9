// Mixture of experts: a router, n routed experts of which each token uses k, and one MLP that every token uses.
#ifndef DSOCR_MODEL_MOE_H_
#define DSOCR_MODEL_MOE_H_

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "model/config.h"
#include "model/gated_mlp.h"
#include "model/layers.h"
#include "model/phase.h"
#include "model/probe.h"
#include "model/weights/weight_map.h"

namespace dsocr::model {

// Who picks the weights of the experts that a token is routed to.
enum class ExpertChoice {
  kOnHost,    // which reads the routing back: one product an expert, over its tokens
  kOnDevice,  // one token: the same launches whatever the routing, and none waits
};

class Moe {
 public:
  Moe(const DecoderConfig& config, const std::string& range, const std::string& weight, WeightMap& weights);

  // x [T, hidden] -> [T, hidden].
  at::Tensor Forward(const at::Tensor& x, Phase phase, ExpertChoice choice, const Probe& probe) const;

  // What kOnDevice needs: moves the experts' weights into one tensor a projection, of which those of an expert become a
  // view. No weight is there twice, but for the experts of one projection and layer while they are moved. (Random
  // weights on a CPU are one mapping, which cannot be given back in parts.)
  void StackExperts();

 private:
  struct Expert {
    Linear gate;  // hidden -> inner
    Linear up;
    Linear down;  // inner -> hidden
  };
  struct Routing {
    at::Tensor index;   // [T, k] int64, by descending weight
    at::Tensor weight;  // [T, k] fp32, scaled
  };
  // The T*k (token, expert) pairs sorted by expert, cut into one run an expert.
  struct Dispatch {
    struct Run {
      int64_t expert;
      int64_t first;  // row of the sorted pairs
      int64_t count;
    };
    std::vector<Run> runs;
    at::Tensor row_token;  // [T*k] token of each sorted row; undefined for a single token
    at::Tensor pair_row;   // [T*k] sorted row of each (token, k) pair; undefined for a single token
  };

  // All experts' weights, [n, out, in]; undefined before StackExperts.
  struct StackedExperts {
    at::Tensor gate;
    at::Tensor up;
    at::Tensor down;
  };

  Routing Route(const at::Tensor& x, Phase phase, const Probe& probe) const;
  Dispatch Sort(const at::Tensor& index) const;
  // On the meta device there is nothing to route by: the T*k pairs, spread evenly over the experts.
  Dispatch SpreadEvenly(const at::Tensor& index) const;
  // sum over k of weight * expert(x), accumulated in fp32.
  at::Tensor RunExperts(const at::Tensor& x, const Routing& routing, const Dispatch& dispatch) const;
  // The same for one token, without the host. The k experts' weights are copied side by side, a projection at a time,
  // and multiplied in one batch: 14 MB of the published model in bf16 are read, written and read again, three times the
  // traffic of reading them where they are but for what the L2 cache keeps. A grouped product would copy nothing;
  // ATen's (2.11) waits for the host except in bf16 on compute capability 9 and 10.
  at::Tensor RunGathered(const at::Tensor& x, const Routing& routing) const;
  at::Tensor Stack(Linear Expert::*projection);

  int64_t experts_per_token_;
  bool norm_topk_prob_;
  double routed_scaling_factor_;
  Linear gate_;  // hidden -> n
  std::vector<Expert> experts_;
  StackedExperts stacked_;

  PhaseNames self_range_;
  PhaseNames gate_range_;
  PhaseNames softmax_range_;
  PhaseNames topk_range_;
  PhaseNames dispatch_range_;
  PhaseNames experts_range_;
  PhaseNames add_range_;
  GatedMlp shared_experts_;
};

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_MOE_H_
