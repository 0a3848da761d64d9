// The whole model and one request through it.
//
//   DeepseekOcr model(config, LoadCheckpoint(...), dtype, device);
//   const Request request = model.Prepare(MakeViews(page, config.preprocess), ids);
//   KvCache cache = model.MakeCache(request.ids.size() + 64);
//   const std::vector<int64_t> tokens = Generator(model).Run(request, cache, {.max_new_tokens = 64});   // generate.h
//
// Tensors stay in the model's dtype on its device. Every call must be under c10::InferenceMode. One request at a time.
#ifndef DSOCR_MODEL_DEEPSEEK_OCR_H_
#define DSOCR_MODEL_DEEPSEEK_OCR_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "model/clip.h"
#include "model/config.h"
#include "model/decoder.h"
#include "model/probe.h"
#include "model/projector.h"
#include "model/ranges.h"
#include "model/sam.h"
#include "model/weights/weight_map.h"

namespace dsocr::model {

// A request as the model takes it. Made outside of the measured ranges, usable any number of times.
struct Request {
  std::vector<int64_t> ids;          // the prompt, placeholders included
  at::Tensor device_ids;             // int64 [S]
  std::optional<at::Tensor> crops;   // [P, 3, T, T]
  std::optional<at::Tensor> global;  // [1, 3, G, G]; absent: a prompt without image
  int64_t crops_wide = 1;
  at::Tensor image_positions;  // int64 [N]: where the image's rows go
};

class DeepseekOcr {
 public:
  // Takes all tensors out of `weights`, which must hold those of ListWeights(config).
  DeepseekOcr(const ModelConfig& config, WeightMap weights, at::ScalarType dtype, at::Device device);

  // Views that sum to exactly 0 count as absent, as in the published model.
  // Throws InputError: an id outside the vocabulary, a number of placeholders that is not the number of image rows, no
  // ids at all.
  Request Prepare(const Views& views, std::vector<int64_t> ids) const;

  KvCache MakeCache(int64_t capacity) { return decoder_.MakeCache(capacity); }

  // Once, before Decoder::ForwardStatic.
  void StackExperts() { decoder_.StackExperts(); }

  // Vision and projector: the image's rows [N, hidden], or nothing for a request without image. Pushes `vision` and
  // `projector`.
  std::optional<at::Tensor> ImageRows(const Request& request, const Probe& probe) const;

  // The prompt over an empty cache: hidden states [S, hidden] after the final norm. The image's rows are let go of as
  // soon as they stand in the prompt. The caller holds the range `prefill`.
  at::Tensor Prefill(const Request& request, std::optional<at::Tensor> image_rows, KvCache& cache,
                     const Probe& probe) const;

  const ModelConfig& config() const { return config_; }
  const SamEncoder& sam() const { return sam_; }
  const ClipEncoder& clip() const { return clip_; }
  const Projector& projector() const { return projector_; }
  const Decoder& decoder() const { return decoder_; }
  at::Device device() const { return device_; }
  at::ScalarType dtype() const { return dtype_; }

 private:
  VisionFeatures See(const at::Tensor& pixels, const char* view, const Probe& probe) const;
  // [count, 3, side, side], or nothing for pixels that sum to exactly 0. The sum is made on the host: a meta tensor has
  // none.
  std::optional<at::Tensor> ToDevice(const std::vector<float>& pixels, int64_t count, int64_t side) const;
  int64_t ImageRowCount(const Request& request) const;

  ModelConfig config_;
  at::ScalarType dtype_;
  at::Device device_;
  SamEncoder sam_;
  ClipEncoder clip_;
  Projector projector_;
  Decoder decoder_;

  RangeName vision_range_;
  RangeName merge_image_features_range_;
};

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_DEEPSEEK_OCR_H_
