#include "model/gated_mlp.h"

#include <ATen/ATen.h>

namespace dsocr::model {

GatedMlp::GatedMlp(const std::string& range, const std::string& weight, WeightMap& weights)
    : gate_proj_(Linear::WithoutBias(weight + "gate_proj", weights)),
      up_proj_(Linear::WithoutBias(weight + "up_proj", weights)),
      down_proj_(Linear::WithoutBias(weight + "down_proj", weights)),
      self_range_(range),
      gate_proj_range_(range + "/gate_proj"),
      up_proj_range_(range + "/up_proj"),
      act_range_(range + "/act"),
      mul_range_(range + "/mul"),
      down_proj_range_(range + "/down_proj") {}

at::Tensor GatedMlp::Forward(const at::Tensor& x, Phase phase) const {
  const Range range(self_range_[phase]);
  at::Tensor inner = In(gate_proj_range_[phase], [&] { return gate_proj_(x); });
  at::Tensor up = In(up_proj_range_[phase], [&] { return up_proj_(x); });
  In(act_range_[phase], [&] { at::silu_(inner); });
  In(mul_range_[phase], [&] { inner.mul_(up); });
  up.reset();
  return In(down_proj_range_[phase], [&] { return down_proj_(inner); });
}

}  // namespace dsocr::model
