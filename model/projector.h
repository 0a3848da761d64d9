// From vision features to rows of the language model's input.
#ifndef DSOCR_MODEL_PROJECTOR_H_
#define DSOCR_MODEL_PROJECTOR_H_

#include <ATen/core/Tensor.h>

#include <optional>

#include "model/config.h"
#include "model/layers.h"
#include "model/probe.h"
#include "model/ranges.h"
#include "model/weights/weight_map.h"

namespace dsocr::model {

// What the two encoders say about one batch of views.
struct VisionFeatures {
  at::Tensor sam;   // [B, C, q, q]
  at::Tensor clip;  // [B, 1 + q*q, C]
};

class Projector {
 public:
  explicit Projector(WeightMap& weights);

  // The image's rows [N, hidden]: raster rows of the crops (where there are any), rows of the global view, the
  // separator. Each raster row of w tokens ends with the newline row; crops are stored row-major over a grid
  // `crops_wide` wide.
  at::Tensor Forward(const std::optional<VisionFeatures>& crops, const VisionFeatures& global, int64_t crops_wide,
                     const Probe& probe) const;

 private:
  // [B, q*q, hidden]
  at::Tensor Project(const VisionFeatures& features, const Probe& probe, const char* view) const;

  Linear matmul_;
  at::Tensor newline_;    // [hidden]
  at::Tensor separator_;  // [hidden]

  RangeName self_range_;
  RangeName linear_range_;
  RangeName concat_range_;
  RangeName matmul_range_;
  RangeName assemble_range_;
};

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_PROJECTOR_H_
