// The sizes of one forward pass, and tensor shapes written in them.
//
// The module tree is fixed by the model's configuration; a workload only decides how often a stage runs and with which
// sizes. Those sizes are a Frame. A shape such as [B, g, g, 768] is data: constants and names of frame members, filled
// in for each pass.
#ifndef DSOCR_ANALYTIC_MODULE_FRAME_H_
#define DSOCR_ANALYTIC_MODULE_FRAME_H_

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "analytic/model_spec.h"
#include "analytic/workload.h"

namespace dsocr::analytic {

struct Frame {
  int64_t passes = 0;  // how often the stage runs with these sizes in one request
  int64_t batch = 1;   // B: views of the group, or sequences

  // Vision, for one view.
  int64_t side = 0;            // H: pixels
  int64_t grid = 0;            // g: patches a side
  int64_t padded_grid = 0;     // p: g rounded up to whole windows
  int64_t window_batch = 0;    // B (p / window)^2: windows of the whole batch
  int64_t half_grid = 0;       // ceil(g / 2), after the first stride-2 convolution
  int64_t feature_grid = 0;    // q: ceil(ceil(g / 2) / 2)
  int64_t features = 0;        // n: q^2, what SAM hands over
  int64_t queries = 0;         // k: learned queries, where the encoder has them
  int64_t encoder_tokens = 0;  // of the encoder's sequence: n and the class token, or n + k

  // Language.
  int64_t tokens = 0;        // T: tokens of the pass in one sequence
  int64_t keys = 0;          // keys that attention sees: cached ones and T
  int64_t image_tokens = 0;  // rows of image features in one sequence
  int64_t feature_rows = 0;  // projected rows of all views of one sequence, before newlines and separator

  bool is_replayed = false;  // as a CUDA graph, which runs the same work wherever in the cache it stands
};

// A dimension: a constant, or a member of the frame.
class Dim {
 public:
  constexpr Dim(int64_t constant) : constant_(constant) {}                  // NOLINT: shapes are written as plain lists
  constexpr Dim(int64_t Frame::*member) : constant_(0), member_(member) {}  // NOLINT

  constexpr int64_t In(const Frame& frame) const { return member_ != nullptr ? frame.*member_ : constant_; }

 private:
  int64_t constant_;
  int64_t Frame::*member_ = nullptr;
};

using Dims = std::vector<Dim>;
using Shape = std::vector<int64_t>;

Shape ShapeIn(const Frame& frame, const Dims& dims);
// The number of elements; 1 for no dimensions.
int64_t Product(const Frame& frame, const Dims& dims);
Dims Append(Dims dims, std::initializer_list<Dim> more);

// Which passes a node takes part in.
enum class FrameSet : uint8_t {
  kRequest,  // once a request
  kViews,    // once for each group of views
  kPrefill,  // once
  kDecode,   // once for each new token but the first
};
inline constexpr int kFrameSetCount = 4;

// Steps that are replayed attend to whole spans of so many positions (model/static_decoder.h).
inline constexpr int64_t kReplayedSpan = 128;

// The passes of one request, in order. Decode runs with S, S + 1, … keys in the cache; its frames stand at the mean
// number of keys (the two neighbours where that is no whole number), so that a figure that is linear in it sums to its
// exact total.
struct Frames {
  std::vector<Frame> sets[kFrameSetCount];

  const std::vector<Frame>& Of(FrameSet set) const { return sets[static_cast<int>(set)]; }
};

// REQUIRES: CheckWorkload(model, workload) is OK.
Frames FramesOf(const ModelSpec& model, const Workload& workload);
// The same for a layout at hand, in place of what `frames` holds. REQUIRES: LayOutImage(model, workload) gave it.
void SetFrames(const ModelSpec& model, const Workload& workload, const ImageLayout& layout, Frames* frames);

// One decode step with `context` tokens in the cache.
Frame DecodeFrame(const Workload& workload, int64_t context);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_MODULE_FRAME_H_
