#include "model/projector.h"

#include <ATen/ATen.h>

#include <string>
#include <vector>

namespace dsocr::model {
namespace {

// [rows, columns, hidden] -> [rows * (columns + 1), hidden], the newline after each row.
at::Tensor AppendNewlines(const at::Tensor& raster, const at::Tensor& newline) {
  const int64_t rows = raster.size(0), hidden = raster.size(2);
  return at::cat({raster, newline.expand({rows, 1, hidden})}, 1).view({-1, hidden});
}

// P = high * wide crops of q x q tokens -> one raster of (high * q) x (wide * q).
at::Tensor JoinCrops(const at::Tensor& crops, int64_t wide) {
  const int64_t count = crops.size(0), tokens = crops.size(1), hidden = crops.size(2);
  int64_t q = 1;
  while (q * q < tokens) ++q;
  const int64_t high = count / wide;
  return crops.view({high, wide, q, q, hidden}).permute({0, 2, 1, 3, 4}).reshape({high * q, wide * q, hidden});
}

}  // namespace

Projector::Projector(WeightMap& weights)
    : matmul_(Linear::WithBias("model.projector.layers", weights)),
      newline_(weights.Take("model.image_newline")),
      separator_(weights.Take("model.view_seperator")),
      self_range_("projector"),
      linear_range_("projector/linear"),
      concat_range_("projector/linear/concat"),
      matmul_range_("projector/linear/matmul"),
      assemble_range_("projector/assemble") {}

at::Tensor Projector::Project(const VisionFeatures& features, const Probe& probe, const char* view) const {
  const Range range(linear_range_);
  const at::Tensor joined = In(concat_range_, [&] {
    const at::Tensor clip = features.clip.narrow(1, 1, features.clip.size(1) - 1);
    return at::cat({clip, features.sam.flatten(2).transpose(1, 2)}, -1);
  });
  probe.Sub("concat.")(view, joined);
  const at::Tensor projected = In(matmul_range_, [&] { return matmul_(joined); });
  probe.Sub("projector.")(view, projected);
  return projected;
}

at::Tensor Projector::Forward(const std::optional<VisionFeatures>& crops, const VisionFeatures& global,
                              int64_t crops_wide, const Probe& probe) const {
  const Range range(self_range_);
  std::optional<at::Tensor> local_tokens;
  if (crops) local_tokens = Project(*crops, probe, "crops");
  const at::Tensor global_tokens = Project(global, probe, "global");

  const at::Tensor rows = In(assemble_range_, [&] {
    std::vector<at::Tensor> parts;
    if (local_tokens) parts.push_back(AppendNewlines(JoinCrops(*local_tokens, crops_wide), newline_));
    parts.push_back(AppendNewlines(JoinCrops(global_tokens, 1), newline_));
    parts.push_back(separator_.unsqueeze(0));
    return at::cat(parts, 0);
  });
  probe("image_features", rows);
  return rows;
}

}  // namespace dsocr::model
