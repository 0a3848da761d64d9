// What a call of a job's module says of the request that it belongs to.
#ifndef DSOCR_DAEMON_ATTACH_MODEL_CALL_H_
#define DSOCR_DAEMON_ATTACH_MODEL_CALL_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "cupti/record/record.h"
#include "daemon/attach/module_map.h"

namespace dsocr::attach {

// By the target that a module is mapped to.
struct CallKind {
  bool is_root = false;
  bool is_model = false;       // the root, or all of the language model: a call of it is a pass
  bool has_phase = false;      // one module in prefill, another in decode; the root too, whose calls are one of the two
  bool has_token_ids = false;  // is called with [batch, tokens]; other modules of the language model with hidden states
  bool has_pixels = false;     // is called with [views, 3, side, side]
};

CallKind KindOf(std::string_view target);

struct PassTokens {
  int64_t batch = 1;
  int64_t tokens = 0;

  // One token is a decode step.
  Phase phase() const { return tokens == 1 ? Phase::kDecode : Phase::kPrefill; }
};

// REQUIRES: kind.has_phase. nullopt: a shape that the model cannot be called with.
std::optional<PassTokens> TokensOf(const record::CallShape& told, const CallKind& kind);

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_MODEL_CALL_H_
