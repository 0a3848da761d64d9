// The static analyzer's two traces of the model on the meta device, where tensors have shapes and no memory: the whole
// request in one go (*extracted*), and each stage alone on the shapes of the one before (*isolated*).
//
// Nothing is computed and nothing is read: a full-size trace takes a fraction of a second. The router has no values to
// route by; its T x k token-expert pairs are spread evenly.
#ifndef DSOCR_MODEL_TRACE_TRACE_H_
#define DSOCR_MODEL_TRACE_TRACE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model/config.h"
#include "model/deepseek_ocr.h"
#include "model/trace/flop_counter.h"

namespace dsocr::model {

// What a trace counted, or the first line of why it failed.
struct StageTrace {
  FlopCounts counts;
  std::string error;  // empty: it went well
};

struct ModelTrace {
  StageTrace extracted;
  std::vector<std::pair<std::string, StageTrace>> isolated;  // sam, clip, projector, prefill, decode
};

// The model with meta tensors for weights, in bf16.
std::unique_ptr<DeepseekOcr> MakeMetaModel(const ModelConfig& config);

// The whole request once: vision, projector, prefill, and one decode step with `context` tokens in the cache.
void RunRequest(DeepseekOcr& model, const Request& request, int64_t context);

// sam, clip and projector over all views; prefill with logits at the last position; decode: one token with `context`
// tokens in the cache. `request`: as model.Prepare makes it. REQUIRES: a model of MakeMetaModel, InferenceMode.
ModelTrace TraceModel(DeepseekOcr& model, const Request& request, int64_t context);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_TRACE_TRACE_H_
