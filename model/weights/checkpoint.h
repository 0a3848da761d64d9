// Weights from a Hugging Face directory: model.safetensors, or the shards that model.safetensors.index.json names.
#ifndef DSOCR_MODEL_WEIGHTS_CHECKPOINT_H_
#define DSOCR_MODEL_WEIGHTS_CHECKPOINT_H_

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <vector>

#include "model/weights/weight_list.h"
#include "model/weights/weight_map.h"

namespace dsocr::model {

// Reads every listed tensor as `dtype` on `device`. Stored bf16, fp16 or fp32 is converted; where nothing changes the
// tensor is the mapped file itself, read on first touch. Names and shapes must be exactly those of `specs`
// (kPositionIdsName apart). Throws InputError naming file and tensor: a missing shard, a missing, unexpected or
// misshapen tensor, a dtype that is no float, an index that disagrees with its shards or names a path outside the
// directory.
WeightMap LoadCheckpoint(const std::filesystem::path& dir, const std::vector<WeightSpec>& specs, at::ScalarType dtype,
                         at::Device device);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_WEIGHTS_CHECKPOINT_H_
