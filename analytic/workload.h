// One request: the sizes that decide its cost, and the image layout that follows from them.
#ifndef DSOCR_ANALYTIC_WORKLOAD_H_
#define DSOCR_ANALYTIC_WORKLOAD_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "analytic/model_spec.h"
#include "analytic/precision.h"

namespace dsocr::analytic {

enum class DocKind { kTextHeavy, kMixedLayout, kImageRich, kSynthetic };

struct Workload {
  std::string profile_id;
  std::string description;
  int64_t seq_len = 0;  // tokens of the prompt, image tokens included
  int64_t base_size = 0;
  int64_t image_size = 0;
  bool crop_mode = false;
  int64_t page_width = 0;
  int64_t page_height = 0;
  int64_t max_new_tokens = 0;
  DocKind doc_kind = DocKind::kMixedLayout;
  int64_t num_pages = 1;
  int64_t batch = 1;
  Precision precision = Precision::kBf16;
  bool cuda_graphs = false;  // decode steps are replays of CUDA graphs; of a GPU alone
};

// Rows that a view of `side` pixels hands to the projector, and so to the language model: its features, or the queries
// that stand for them.
int64_t ViewRows(const ModelSpec& model, int64_t side);

// How a page is cut into views and how many tokens they make.
struct ImageLayout {
  int64_t crops_wide = 1;  // 1 x 1: no crops
  int64_t crops_high = 1;
  int64_t num_crops = 0;
  int64_t crop_side = 0;      // pixels; 0 without crops
  int64_t global_side = 0;    // pixels
  int64_t local_tokens = 0;   // crop rows, with their newlines where the model has them
  int64_t global_tokens = 0;  // global rows, likewise
  int64_t separator_tokens = 1;

  int64_t image_tokens() const { return local_tokens + global_tokens + separator_tokens; }
};

// Without crop mode the single view has image_size pixels a side and base_size is ignored; with it the global view has
// base_size, and a page larger than the threshold is cut into the grid whose aspect ratio is nearest (facts of the
// reference, section 9). Source: infer() and dynamic_preprocess() of the published modeling_deepseekocr.py. REQUIRES:
// CheckPage(model, workload) is OK.
ImageLayout LayOutImage(const ModelSpec& model, const Workload& workload);

// The grids that a page may be cut into, in the order in which they are tried. For callers that lay out many pages.
struct CropGrid {
  int64_t wide = 1;
  int64_t high = 1;
  double aspect = 1;
};
std::vector<CropGrid> CropGridsOf(const PreprocessSpec& spec);
// REQUIRES: `grids` are those of model.preprocess.
ImageLayout LayOutImage(const ModelSpec& model, const Workload& workload, const std::vector<CropGrid>& grids);

// INVALID_ARGUMENT names the field and its value: sizes not positive, too large or no multiple of the patch size, crop
// mode with an image size other than the crop tile, a degenerate page.
absl::Status CheckPage(const ModelSpec& model, const Workload& workload);

// CheckPage, and: a seq_len under image tokens + 1, no new token, no batch, more than one page, a request whose FLOPs
// would not fit 64 bits.
absl::Status CheckWorkload(const ModelSpec& model, const Workload& workload);
// CheckWorkload, and the layout that it looked at. REQUIRES: CheckModel(model) is OK, and as LayOutImage.
absl::StatusOr<ImageLayout> CheckedLayout(const ModelSpec& model, const Workload& workload,
                                          const std::vector<CropGrid>& grids);

// The catalogue, in its documented order (docs/workloads.md).
const std::vector<Workload>& WorkloadCatalogue();
absl::StatusOr<Workload> FindWorkload(std::string_view profile_id);  // NOT_FOUND suggests the nearest name

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_WORKLOAD_H_
