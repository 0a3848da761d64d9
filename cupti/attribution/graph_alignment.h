// Which step of a known sequence each operation of a CUDA graph belongs to, where the graph was captured unseen.
//
// What is known of the graph is the order in which its operations run and the category of each; what is known of the
// model is which operations its decode step launches, in order. The two are aligned monotonically, as two versions of a
// text are: an operation may belong to no step, a step may have any number of consecutive operations, also none.
#ifndef DSOCR_CUPTI_ATTRIBUTION_GRAPH_ALIGNMENT_H_
#define DSOCR_CUPTI_ATTRIBUTION_GRAPH_ALIGNMENT_H_

#include <cstddef>
#include <vector>

namespace dsocr::attribution {

inline constexpr size_t kMaxAlignedNodes = 16'384;
inline constexpr size_t kMaxAlignedSteps = 4'096;

// What the model is expected to launch at one place: a module's operation, or several that go together.
struct AlignmentStep {
  std::vector<int> categories;  // acceptable ones, as in kCategories; none: whatever is there
  int operations = 1;           // how many it is expected to launch
  // Of `categories`, so many from the first are what the operation is; the rest is what it may look like.
  size_t own_categories = static_cast<size_t>(-1);
};

struct AlignedNode {
  int step = -1;            // -1: fits nowhere
  double confidence = 0.0;  // [0, 1]: the share of plausible alignments that put it into this step, where its category
                            // fits; 0 with step -1
};

// One entry for each node; steps do not decrease along the nodes. Beyond the limits above nothing is aligned: every
// node is -1.
std::vector<AlignedNode> AlignGraph(const std::vector<int>& node_categories, const std::vector<AlignmentStep>& steps);

}  // namespace dsocr::attribution

#endif  // DSOCR_CUPTI_ATTRIBUTION_GRAPH_ALIGNMENT_H_
