// SwiGLU: down(silu(gate(x)) * up(x)), without biases.
#ifndef DSOCR_MODEL_GATED_MLP_H_
#define DSOCR_MODEL_GATED_MLP_H_

#include <ATen/core/Tensor.h>

#include <string>

#include "model/layers.h"
#include "model/phase.h"
#include "model/weights/weight_map.h"

namespace dsocr::model {

class GatedMlp {
 public:
  // `weight` ends in a dot: "model.layers.0.mlp.".
  GatedMlp(const std::string& range, const std::string& weight, WeightMap& weights);

  // x [T, hidden] -> [T, hidden].
  at::Tensor Forward(const at::Tensor& x, Phase phase) const;

 private:
  Linear gate_proj_;
  Linear up_proj_;
  Linear down_proj_;

  PhaseNames self_range_;
  PhaseNames gate_proj_range_;
  PhaseNames up_proj_range_;
  PhaseNames act_range_;
  PhaseNames mul_range_;
  PhaseNames down_proj_range_;
};

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_GATED_MLP_H_
