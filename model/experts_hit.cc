#include "model/experts_hit.h"

#include <ATen/ATen.h>

#include <set>
#include <span>
#include <string_view>

namespace dsocr::model {

void ExpertsHitCounter::See(const std::string& name, const at::Tensor& tensor) {
  constexpr std::string_view kStep = "step.", kBefore = "moe.layer", kAfter = ".topk_idx";
  const bool is_step = name.starts_with(kStep);
  const std::string_view in_pass = std::string_view(name).substr(is_step ? kStep.size() : 0);
  if (!in_pass.starts_with(kBefore) || !in_pass.ends_with(kAfter)) {
    return;
  }
  const at::Tensor picked = tensor.to(at::kCPU).contiguous();
  const int64_t* const first = picked.const_data_ptr<int64_t>();
  const std::span<const int64_t> pairs(first, static_cast<size_t>(picked.numel()));
  LayerExperts& layer = by_layer_[std::stoll(std::string(in_pass.substr(kBefore.size())))];
  ExpertsHit& stage = is_step ? layer.decode : layer.prefill;
  stage.distinct += static_cast<int64_t>(std::set<int64_t>(pairs.begin(), pairs.end()).size());
  stage.picks.resize(static_cast<size_t>(experts_));
  for (const int64_t expert : pairs) {
    ++stage.picks.at(static_cast<size_t>(expert));
  }
}

}  // namespace dsocr::model
