// The list of all weights of a configuration: the one place that knows names and shapes.
//
// Checkpoints are checked against it, random weights are made from it, and the modules take their tensors by the names
// in it. Names are those of the published checkpoint, its spellings (`view_seperator`, `pre_layrnorm`) included.
#ifndef DSOCR_MODEL_WEIGHTS_WEIGHT_LIST_H_
#define DSOCR_MODEL_WEIGHTS_WEIGHT_LIST_H_

#include <cstdint>
#include <string>
#include <vector>

#include "model/config.h"

namespace dsocr::model {

// How random weights are drawn, so that activations stay in range over all layers and routing reaches every expert
// (random.h).
enum class Init {
  kZero,       // biases
  kOne,        // norm gains
  kFanIn,      // normal, std = fan_in^-1/2
  kResidual,   // matrices that write the residual stream: 0.1 fan_in^-1/2
  kProjector,  // 0.015 fan_in^-1/2: image rows as large as text embeddings
  kUnit,       // embeddings and position tables: std 1
  kHalf,       // newline and separator rows: std 0.5
};

struct WeightSpec {
  std::string name;
  std::vector<int64_t> shape;  // a linear's is [out, in], a convolution's [out, in, h, w]
  Init init = Init::kFanIn;

  int64_t numel() const;
  // Inputs that one output element sums over: all dimensions but the first.
  int64_t fan_in() const;
};

// Every parameter, in checkpoint order by part; 2,710 tensors and 3,336,106,240 elements for the published
// configuration.
std::vector<WeightSpec> ListWeights(const ModelConfig& config);

// The one buffer in published checkpoints, never read: int64 [1, clip grid^2 + 1]. A checkpoint may hold it or not.
inline constexpr char kPositionIdsName[] = "model.vision_model.embeddings.position_ids";

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_WEIGHTS_WEIGHT_LIST_H_
