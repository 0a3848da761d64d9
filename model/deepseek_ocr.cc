#include "model/deepseek_ocr.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <string>

#include "model/error.h"

namespace dsocr::model {

DeepseekOcr::DeepseekOcr(const ModelConfig& config, WeightMap weights, at::ScalarType dtype, at::Device device)
    : config_(config),
      dtype_(dtype),
      device_(device),
      sam_(config.sam, weights),
      clip_(config.clip, weights),
      projector_(weights),
      decoder_(config.decoder, weights),
      vision_range_("vision"),
      merge_image_features_range_("prefill/merge_image_features") {}

std::optional<at::Tensor> DeepseekOcr::ToDevice(const std::vector<float>& pixels, int64_t count, int64_t side) const {
  at::Tensor tensor = at::empty({count, 3, side, side}, at::kFloat);
  std::copy(pixels.begin(), pixels.end(), tensor.mutable_data_ptr<float>());
  tensor = tensor.to(dtype_);
  if (tensor.sum().item<float>() == 0.0f) return std::nullopt;
  return tensor.to(device_);
}

int64_t DeepseekOcr::ImageRowCount(const Request& request) const {
  if (!request.global) return 0;
  const auto tokens_across = [&](const at::Tensor& pixels) {
    const int64_t grid = pixels.size(2) / config_.sam.patch_size;
    return (grid + 3) / 4;  // two convolutions of stride 2, each rounding up
  };
  const int64_t q = tokens_across(*request.global);
  int64_t rows = q * (q + 1) + 1;
  if (request.crops) {
    const int64_t q_crop = tokens_across(*request.crops);
    const int64_t high = request.crops->size(0) / request.crops_wide;
    rows += high * q_crop * (request.crops_wide * q_crop + 1);
  }
  return rows;
}

Request DeepseekOcr::Prepare(const Views& views, std::vector<int64_t> ids) const {
  Request request;
  request.ids = std::move(ids);
  if (request.ids.empty()) {
    throw InputError(ErrorCode::kInvalidArgument, "prompt", "no tokens in it", "give a prompt");
  }
  std::vector<int64_t> placeholders;
  for (size_t i = 0; i < request.ids.size(); ++i) {
    const int64_t id = request.ids[i];
    if (id < 0 || id >= config_.decoder.vocab_size) {
      throw InputError(ErrorCode::kInvalidArgument, "prompt",
                       "token id " + std::to_string(id) + " is outside the vocabulary of " +
                           std::to_string(config_.decoder.vocab_size),
                       "use the tokenizer that belongs to the model");
    }
    if (id == config_.image_token_id) placeholders.push_back(static_cast<int64_t>(i));
  }
  if (!views.global.empty()) request.global = ToDevice(views.global, 1, views.global_side);
  if (request.global && !views.crops.empty()) {
    request.crops = ToDevice(views.crops, int64_t{views.crops_wide} * views.crops_high, views.crop_side);
    request.crops_wide = views.crops_wide;
  }
  const int64_t rows = ImageRowCount(request);
  if (request.global && rows != static_cast<int64_t>(placeholders.size())) {
    throw InputError(ErrorCode::kInvalidArgument, "prompt",
                     std::to_string(placeholders.size()) + " image placeholders for " + std::to_string(rows) +
                         " rows of image features",
                     "let the prompt hold one <image>");
  }
  request.device_ids = at::tensor(request.ids, at::kLong).to(device_);
  request.image_positions = at::tensor(placeholders, at::kLong).to(device_);
  return request;
}

VisionFeatures DeepseekOcr::See(const at::Tensor& pixels, const char* view, const Probe& probe) const {
  const Range range(vision_range_);
  VisionFeatures features;
  features.sam = sam_.Forward(pixels, probe.Sub("sam.").Sub(view).Sub("."));
  features.clip = clip_.Forward(features.sam, probe.Sub("clip.").Sub(view).Sub("."));
  return features;
}

std::optional<at::Tensor> DeepseekOcr::ImageRows(const Request& request, const Probe& probe) const {
  if (!request.global) return std::nullopt;
  std::optional<VisionFeatures> crops;
  if (request.crops) crops = See(*request.crops, "crops", probe);
  const VisionFeatures global = See(*request.global, "global", probe);
  return projector_.Forward(crops, global, request.crops_wide, probe);
}

at::Tensor DeepseekOcr::Prefill(const Request& request, std::optional<at::Tensor> image_rows, KvCache& cache,
                                const Probe& probe) const {
  at::Tensor x = decoder_.Embed(request.device_ids, Phase::kPrefill);
  if (image_rows) In(merge_image_features_range_, [&] { x.index_copy_(0, request.image_positions, *image_rows); });
  image_rows.reset();
  probe("inputs_embeds", x);
  return decoder_.Forward(std::move(x), Phase::kPrefill, cache, probe);
}

}  // namespace dsocr::model
