#include "model/trace/trace.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <optional>

#include "model/trace/meta_kernels.h"
#include "model/weights/weight_list.h"

namespace dsocr::model {
namespace {

template <typename Body>
StageTrace Traced(const Body& body) {
  StageTrace trace;
  FlopCounter counter;
  try {
    body();
  } catch (const std::exception& error) {
    const std::string text = error.what();
    trace.error = text.substr(0, text.find('\n'));
  }
  trace.counts = counter.counts();
  return trace;
}

KvCache MakeCache(DeepseekOcr& model, const Request& request, int64_t context) {
  return model.MakeCache(std::max(static_cast<int64_t>(request.ids.size()), context + 1));
}

void Prefill(const DeepseekOcr& model, const Request& request, const std::optional<at::Tensor>& rows, KvCache& cache) {
  cache.length = 0;
  model.decoder().LastLogits(model.Prefill(request, rows, cache, Probe()), Phase::kPrefill);
}

void Decode(const DeepseekOcr& model, const Request& request, int64_t context, KvCache& cache) {
  const Decoder& decoder = model.decoder();
  cache.length = context;
  const at::Tensor x = decoder.Embed(request.device_ids.narrow(0, 0, 1), Phase::kDecode);
  decoder.LastLogits(decoder.Forward(x, Phase::kDecode, cache, Probe()), Phase::kDecode);
}

// Traces one stage after the other, each under a counter of its own.
class Isolation {
 public:
  // `input`: the stage whose output `body` needs, or null.
  template <typename Body>
  void Trace(const char* name, const char* input, const Body& body) {
    const bool is_lost = input != nullptr && !failed_.empty();
    stages_.emplace_back(
        name, is_lost ? StageTrace{.error = std::string(input) + " could not be traced: " + failed_} : Traced(body));
    failed_ = stages_.back().second.error;
  }

  std::vector<std::pair<std::string, StageTrace>> Take() { return std::move(stages_); }

 private:
  std::vector<std::pair<std::string, StageTrace>> stages_;
  std::string failed_;  // why the last stage has no output
};

}  // namespace

std::unique_ptr<DeepseekOcr> MakeMetaModel(const ModelConfig& config) {
  RegisterMetaKernels();
  const at::TensorOptions options = at::TensorOptions(at::kMeta).dtype(at::kBFloat16);
  WeightMap weights;
  for (const WeightSpec& spec : ListWeights(config)) weights.Put(spec.name, at::empty(spec.shape, options));
  return std::make_unique<DeepseekOcr>(config, std::move(weights), at::kBFloat16, at::Device(at::kMeta));
}

void RunRequest(DeepseekOcr& model, const Request& request, int64_t context) {
  KvCache cache = MakeCache(model, request, context);
  Prefill(model, request, model.ImageRows(request, Probe()), cache);
  Decode(model, request, context, cache);
}

ModelTrace TraceModel(DeepseekOcr& model, const Request& request, int64_t context) {
  ModelTrace trace;
  trace.extracted = Traced([&] { RunRequest(model, request, context); });

  KvCache cache = MakeCache(model, request, context);
  std::optional<VisionFeatures> crops, global;
  std::optional<at::Tensor> rows;
  const auto see = [](const std::optional<at::Tensor>& pixels, std::optional<VisionFeatures>& features,
                      const SamEncoder& sam) {
    if (pixels) features = {.sam = sam.Forward(*pixels, Probe()), .clip = {}};
  };
  Isolation isolation;
  isolation.Trace("sam", nullptr, [&] {
    see(request.crops, crops, model.sam());
    see(request.global, global, model.sam());
  });
  isolation.Trace("clip", "sam", [&] {
    if (crops) crops->clip = model.clip().Forward(crops->sam, Probe());
    if (global) global->clip = model.clip().Forward(global->sam, Probe());
  });
  isolation.Trace("projector", "clip", [&] {
    if (global) rows = model.projector().Forward(crops, *global, request.crops_wide, Probe());
  });
  isolation.Trace("prefill", "projector", [&] { Prefill(model, request, rows, cache); });
  isolation.Trace("decode", nullptr, [&] { Decode(model, request, context, cache); });
  trace.isolated = isolation.Take();
  return trace;
}

}  // namespace dsocr::model
