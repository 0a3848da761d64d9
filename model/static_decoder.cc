#include "model/static_decoder.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

namespace dsocr::model {

StaticDecoder::StaticDecoder(DeepseekOcr& model, KvCache& cache, MakeDeviceGraph make_graph)
    : decoder_(model.decoder()), cache_(cache), make_graph_(std::move(make_graph)) {
  model.StackExperts();
  const at::TensorOptions int64 = at::TensorOptions(at::kLong).device(model.device());
  token_ = at::zeros({1}, int64);
  position_ = at::zeros({1}, int64);
  // Masked positions weigh 0, which NaN would survive.
  for (size_t layer = 0; layer < cache.key.size(); ++layer) {
    cache.key[layer].zero_();
    cache.value[layer].zero_();
  }
}

at::Tensor StaticDecoder::Forward(int64_t span, const Probe& probe) {
  const at::Tensor x = decoder_.Embed(token_, Phase::kDecode);
  return decoder_.LastLogits(decoder_.ForwardStatic(x, position_, span, cache_, probe), Phase::kDecode);
}

void StaticDecoder::Capture(int64_t span) {
  CapturedStep& step = graphs_[span];
  step.graph = make_graph_();
  step.graph->Capture([this, span, &step] { step.logits = Forward(span, Probe()); });
  step.graph->Replay();  // the first replay brings the graph to the device
}

// A step can be taken any number of times, for it writes one row of the cache and never reads what it overwrites.
at::Tensor StaticDecoder::Step(const at::Tensor& token, const Probe& probe) {
  token_.copy_(token);
  position_.fill_(cache_.length);
  const int64_t span = std::min((cache_.length / kSpanStep + 1) * kSpanStep, cache_.capacity);
  ++cache_.length;
  const auto captured = graphs_.find(span);
  if (captured != graphs_.end() && !probe.is_on()) {
    captured->second.graph->Replay();
    return captured->second.logits;
  }
  at::Tensor logits = Forward(span, probe);
  // The step above made the libraries allocate what they need once, which a capture must not.
  if (make_graph_ && captured == graphs_.end()) Capture(span);
  return logits;
}

}  // namespace dsocr::model
