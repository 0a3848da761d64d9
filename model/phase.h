// The decoder's weights run under two names: once over the prompt, then once a token.
#ifndef DSOCR_MODEL_PHASE_H_
#define DSOCR_MODEL_PHASE_H_

#include <string>

#include "model/ranges.h"

namespace dsocr::model {

enum class Phase { kPrefill, kDecode };

// The range names of one decoder module, `prefill/PATH` and `decode/PATH`; with an empty path the phases themselves.
class PhaseNames {
 public:
  explicit PhaseNames(const std::string& path)
      : prefill_(path.empty() ? "prefill" : "prefill/" + path), decode_(path.empty() ? "decode" : "decode/" + path) {}

  const RangeName& operator[](Phase phase) const { return phase == Phase::kPrefill ? prefill_ : decode_; }

 private:
  RangeName prefill_;
  RangeName decode_;
};

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_PHASE_H_
