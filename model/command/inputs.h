// What a request comes to before any weight is there: the views of its page and the ids of its prompt. Inference and
// the static analyzer take theirs from here.
#ifndef DSOCR_MODEL_COMMAND_INPUTS_H_
#define DSOCR_MODEL_COMMAND_INPUTS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "model/command/serve_request.h"
#include "model/config.h"
#include "model/image/preprocess.h"
#include "model/text/tokenizer.h"

namespace dsocr::model {

struct Inputs {
  TokenLayout layout;
  Views views;
  std::vector<int64_t> ids;
  std::optional<Tokenizer> tokenizer;  // where the request has a prompt
};

// Of request.model_dir, or the published one.
ModelConfig ConfigOf(const ServeRequest& request);

// The image or a synthetic page; the prompt, or synthetic ids up to seq_len. Throws InputError, also where the page or
// the prompt is not of the size that the workload says.
Inputs MakeInputs(const ServeRequest& request, const ModelConfig& config);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_COMMAND_INPUTS_H_
