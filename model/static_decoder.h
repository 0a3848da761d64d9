// Decode steps that launch the same work wherever in the cache they stand, so that CUDA graphs can replay them.
//
// The token and its position are tensors that a step reads; experts' weights are picked on the device; attention covers
// a span of the cache, the position rounded up to kSpanStep, and masks the rest of it. One graph is captured for a
// span, at the first step that needs it: in the warm-up request, where there is one, whose later requests take the same
// steps. Sampling stays outside: the n-grams that it must not repeat are the host's to know, which reads each token
// anyway.
//
// Cost, of the published model in bf16: an average step reads 64 positions too many, 3.9 MB beside 1.15 GB of weights;
// experts are copied (Moe::RunGathered); each graph holds its logits (259 KB) and what the driver keeps of several
// hundred nodes. In exchange the host makes one launch in place of those.
#ifndef DSOCR_MODEL_STATIC_DECODER_H_
#define DSOCR_MODEL_STATIC_DECODER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>

#include "model/deepseek_ocr.h"
#include "model/device_graph.h"

namespace dsocr::model {

class StaticDecoder {
 public:
  static constexpr int64_t kSpanStep = 128;

  // For one model and one cache, which must outlive it; graphs hold the addresses of both. Stacks the experts and
  // clears the cache. Without `make_graph` the steps are launched operator by operator, on any device: to prove them.
  StaticDecoder(DeepseekOcr& model, KvCache& cache, MakeDeviceGraph make_graph = nullptr);

  // Logits [1, vocab] after `token`, int64 [1] on the device, which goes into the cache at cache.length; the next step
  // may overwrite them. The caller holds the range `decode`. A probe that is on sees the step, which is then launched
  // operator by operator: nothing can be seen of a replay.
  at::Tensor Step(const at::Tensor& token, const Probe& probe);

 private:
  struct CapturedStep {
    std::unique_ptr<DeviceGraph> graph;
    at::Tensor logits;
  };

  at::Tensor Forward(int64_t span, const Probe& probe);
  void Capture(int64_t span);

  const Decoder& decoder_;
  KvCache& cache_;
  MakeDeviceGraph make_graph_;
  at::Tensor token_;                        // int64 [1]
  at::Tensor position_;                     // int64 [1]
  std::map<int64_t, CapturedStep> graphs_;  // by span
};

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_STATIC_DECODER_H_
