// The stages of users' talk: the modules that stand directly below the root, vision's two in place of vision. Of
// DeepSeek-OCR sam, clip, projector, prefill, decode; OCR-2 has encoder in place of clip. What the static analyzer
// reports of each by closed formulas.
#ifndef DSOCR_ANALYTIC_STAGES_H_
#define DSOCR_ANALYTIC_STAGES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "analytic/model_spec.h"
#include "analytic/workload.h"

namespace dsocr::analytic {

struct CategoryFlops {
  std::string_view category_id;
  int64_t flops = 0;
};

struct LeafFlops {
  std::string module_id;
  int64_t flops = 0;
  int64_t activation_elements = 0;
};

// FLOPs are those of matrix products and convolutions, in the convention of torch.utils.flop_counter; activations are
// the elements that these operators write.
struct StageAnalysis {
  std::string name;
  std::string module_id;  // the node that the stage is
  int64_t parameters = 0;
  int64_t flops = 0;
  int64_t activation_elements = 0;
  std::vector<CategoryFlops> operators;  // categories with FLOPs, in the order of the category list
  std::vector<LeafFlops> leaves;         // leaves with FLOPs, in the order of the tree
};

struct StagesAnalysis {
  std::vector<StageAnalysis> stages;  // in execution order
  // Sums over the stages; the parameters also count the learned rows (newline, separator, queries), which belong to
  // none.
  int64_t parameters = 0;
  int64_t flops = 0;
  int64_t activation_elements = 0;
};

// vision and projector over all views; prefill over seq_len positions with logits at the last one; decode one token
// with `context` tokens already in the cache. Parameters follow the source's stage map: projector is its linear,
// prefill has the embedding, the layers and the norm, decode the lm_head. INVALID_ARGUMENT for what CheckWorkload
// refuses, and for a context that is negative or too large.
absl::StatusOr<StagesAnalysis> AnalyzeStages(const ModelSpec& model, const Workload& workload, int64_t context);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_STAGES_H_
