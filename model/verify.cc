#include "model/verify.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "model/deepseek_ocr.h"
#include "model/error.h"
#include "model/generate.h"
#include "model/image/image.h"
#include "model/image/preprocess.h"
#include "model/static_decoder.h"
#include "model/weights/checkpoint.h"
#include "model/weights/safetensors.h"

namespace dsocr::model {
namespace {

// Expected tensors on one side, computed ones on the other; each is compared when it is seen, for it may be overwritten
// afterwards.
class Comparison {
 public:
  explicit Comparison(const SafetensorsFile& expected) : expected_(expected) {
    for (const auto& [name, entry] : expected.entries()) {
      const bool is_exact = !c10::isFloatingType(entry.dtype);
      checks_[name] = {.name = name, .tolerance = is_exact ? 0.0 : kVerifyTolerance, .exact = is_exact};
    }
  }

  bool Expects(const std::string& name) const { return expected_.entries().contains(name); }
  at::Tensor Expected(const std::string& name) const { return expected_.Read(name); }

  // Ignores a name that nobody expects.
  void Compare(const std::string& name, const at::Tensor& actual) {
    if (Expects(name)) Compare(name, actual, Expected(name), checks_[name].exact);
  }

  void Compare(const std::string& name, const at::Tensor& actual, at::Tensor expected, bool exact) {
    TensorCheck& check = checks_[name];
    check = {.name = name, .tolerance = exact ? 0.0 : kVerifyTolerance, .exact = exact};
    if (actual.numel() != expected.numel()) return;
    at::Tensor mine = actual.reshape(expected.sizes()).to(at::kDouble);  // reshape: a batch of one may be left out
    expected = expected.to(at::kDouble);
    if (name.ends_with("topk_idx")) {  // the order inside a row is unspecified
      mine = std::get<0>(mine.sort(-1));
      expected = std::get<0>(expected.sort(-1));
    }
    const double difference = mine.numel() == 0 ? 0.0 : (mine - expected).abs().max().item<double>();
    if (!std::isfinite(difference)) return;
    check.max_abs_diff = difference;
    check.passed = difference <= check.tolerance;
  }

  VerifyReport Report() const {
    VerifyReport report;
    for (const auto& [name, check] : checks_) {
      if (name.ends_with(".tokens")) report.tokens_equal &= check.passed;
      if (name.ends_with("topk_idx")) report.experts_equal &= check.passed;
      report.tensors.push_back(check);
    }
    report.passed = std::all_of(report.tensors.begin(), report.tensors.end(), [](const auto& c) { return c.passed; });
    return report;
  }

 private:
  const SafetensorsFile& expected_;
  std::map<std::string, TensorCheck> checks_;
};

// Sees the intermediate tensors of one generation.
class Recorder : public Observer {
 public:
  Recorder(const Decoder& decoder, Comparison& comparison, bool compares_all)
      : decoder_(decoder), comparison_(comparison), compares_all_(compares_all) {}

  void See(const std::string& name, const at::Tensor& tensor) override {
    if (name == "step_logits") {
      step_logits_.push_back(tensor.clone());
    } else if (compares_all_) {
      comparison_.Compare(name, tensor);
      if (name == "decoder.hidden_after_final_norm") {
        comparison_.Compare("logits_prefill", decoder_.AllLogits(tensor));
      }
    }
  }

  at::Tensor step_logits() const { return at::cat(step_logits_, 0); }

 private:
  const Decoder& decoder_;
  Comparison& comparison_;
  bool compares_all_;
  std::vector<at::Tensor> step_logits_;
};

std::vector<float> Floats(const SafetensorsFile& file, const std::string& name) {
  const at::Tensor tensor = file.Read(name).to(at::kFloat).contiguous();
  const float* data = tensor.const_data_ptr<float>();
  return {data, data + tensor.numel()};
}

std::vector<int64_t> Integers(const at::Tensor& stored) {
  const at::Tensor tensor = stored.to(at::kLong).contiguous();
  const int64_t* data = tensor.const_data_ptr<int64_t>();
  return {data, data + tensor.numel()};
}

[[noreturn]] void FailInput(const SafetensorsFile& inputs, const std::string& name, const std::string& why) {
  throw InputError(ErrorCode::kInvalidArgument, "fixture '" + inputs.path().string() + "'", "'" + name + "' " + why,
                   "make the fixture again");
}

// Checks [count, 3, side, side] and returns the side.
int SquareSide(const SafetensorsFile& inputs, const std::string& name, int64_t count) {
  const std::vector<int64_t>& shape = inputs.entries().at(name).shape;
  if (shape.size() != 4 || shape[0] != count || shape[1] != 3 || shape[2] != shape[3]) {
    FailInput(inputs, name, "is not a batch of " + std::to_string(count) + " square RGB views");
  }
  return static_cast<int>(shape[2]);
}

// The views as the fixture has them, so that a fault of preprocessing does not blur what the model computes.
Views ReadViews(const SafetensorsFile& inputs) {
  Views views;
  if (!inputs.entries().contains("image_global")) return views;
  views.global = Floats(inputs, "image_global");
  views.global_side = SquareSide(inputs, "image_global", 1);
  if (!inputs.entries().contains("image_crops")) return views;
  const std::vector<int64_t> grid = Integers(inputs.Read("images_spatial_crop"));
  if (grid.size() != 2 || grid[0] < 1 || grid[1] < 1 || grid[0] > 64 || grid[1] > 64) {
    FailInput(inputs, "images_spatial_crop", "is not one pair of width and height");
  }
  views.crops_wide = static_cast<int>(grid[0]);
  views.crops_high = static_cast<int>(grid[1]);
  views.crops = Floats(inputs, "image_crops");
  views.crop_side = SquareSide(inputs, "image_crops", grid[0] * grid[1]);
  return views;
}

at::Tensor AsTensor(const std::vector<float>& values) { return at::tensor(values, at::kFloat); }

// image_global and image_crops must come out of image.png bit by bit, crops in the same grid.
void CompareViews(const Views& expected, const Views& actual, Comparison& comparison) {
  if (!expected.global.empty()) {
    comparison.Compare("image_global", AsTensor(actual.global), AsTensor(expected.global), /*exact=*/true);
  }
  if (!expected.crops.empty() || !actual.crops.empty()) {
    const bool same_grid = expected.crops_wide == actual.crops_wide && expected.crops_high == actual.crops_high;
    comparison.Compare("image_crops", AsTensor(same_grid ? actual.crops : std::vector<float>()),
                       AsTensor(expected.crops), /*exact=*/true);
  }
}

void CompareCache(const KvCache& cache, int64_t positions, Comparison& comparison) {
  for (size_t i = 0; i < cache.key.size(); ++i) {
    const std::string name = "kv.layer" + std::to_string(i);
    comparison.Compare(name + ".key", cache.key[i].narrow(2, 0, positions));
    comparison.Compare(name + ".value", cache.value[i].narrow(2, 0, positions));
  }
}

// "gen" -> 0, "gen_ngram2" -> 2.
int NgramSize(const std::string& prefix) {
  const std::string marker = "_ngram";
  const size_t at = prefix.find(marker);
  return at == std::string::npos ? 0 : std::atoi(prefix.c_str() + at + marker.size());
}

}  // namespace

VerifyReport Verify(const std::filesystem::path& dir, DecodeMode mode) {
  const c10::InferenceMode inference;
  const ModelConfig config = LoadModelConfig(dir);
  DeepseekOcr model(config, LoadCheckpoint(dir, ListWeights(config), at::kFloat, at::kCPU), at::kFloat, at::kCPU);
  const SafetensorsFile inputs = SafetensorsFile::Open(dir / "inputs.safetensors");
  const SafetensorsFile expected = SafetensorsFile::Open(dir / "expected.safetensors");

  Comparison comparison(expected);
  const Views views = ReadViews(inputs);
  if (!views.global.empty())
    CompareViews(views, MakeViews(LoadImage(dir / "image.png"), config.preprocess), comparison);

  const Request request = model.Prepare(views, Integers(inputs.Read("input_ids")));
  const Generator generator(model);
  bool is_first = true;
  for (const auto& [name, entry] : expected.entries()) {
    const std::string suffix = ".tokens";
    if (!name.starts_with("gen") || !name.ends_with(suffix)) continue;
    const std::string prefix = name.substr(0, name.size() - suffix.size());
    const int64_t count = expected.Read(name).numel();
    if (count < 1) continue;
    KvCache cache = model.MakeCache(static_cast<int64_t>(request.ids.size()) + count);
    std::optional<StaticDecoder> static_decoder;
    if (mode == DecodeMode::kStatic) static_decoder.emplace(model, cache);
    Recorder recorder(model.decoder(), comparison, is_first);
    const GenerateOptions options{.max_new_tokens = count,
                                  .no_repeat_ngram_size = NgramSize(prefix),
                                  .static_decoder = static_decoder ? &*static_decoder : nullptr};
    const std::vector<int64_t> tokens = generator.Run(request, cache, options, Probe(&recorder, ""));
    comparison.Compare(name, at::tensor(tokens, at::kLong));
    comparison.Compare(prefix + ".step_logits", recorder.step_logits());
    comparison.Compare(prefix + ".step_logits_raw", recorder.step_logits());
    if (is_first) CompareCache(cache, static_cast<int64_t>(request.ids.size()), comparison);
    is_first = false;
  }
  return comparison.Report();
}

}  // namespace dsocr::model
