// Which of the places of a known sequence each operator of an unknown one stands at.
//
// A job that names no module is known by the order of its operators and by what each is; a model, by the order of its
// modules and by what they call. A place is a module without children. The job runs through the places in order, makes
// some calls at each, and may leave a place out. Of all ways to do so each has a weight: how well the calls fit their
// places, times what staying and leaving out are worth. The sum over all ways (forward x backward) says how sure it is
// that an operator stands at a place; and, for places next to each other, in the module around them.
//
// So what nobody can tell apart is given to the module that all have in common: a call of which it is not clear whether
// it ends q_proj or begins k_proj is self_attn's. Pure; safe from any thread.
#ifndef DSOCR_DAEMON_ATTACH_OPERATOR_ALIGNMENT_H_
#define DSOCR_DAEMON_ATTACH_OPERATOR_ALIGNMENT_H_

#include <cstddef>
#include <vector>

namespace dsocr::attach {

// 64 MiB of doubles.
inline constexpr size_t kMaxAlignedCells = size_t{1} << 23;

// Weights are in (0, 1].
struct AlignmentPlace {
  std::vector<int> modules;  // from the outermost to the one that stands here; empty: a place outside of the model
  int kind = 0;              // places of one kind take the same operators
  double stay = 0.5;         // makes one more call
  double skip = 0.1;         // makes none at all
};

struct AlignedOperator {
  int place = 0;            // places do not decrease along the operators
  int depth = 0;            // so many of the place's modules, from the outermost; 0: it belongs to none
  double confidence = 0.0;  // [0, 1], that it belongs there; 0 with depth 0
};

// How the sequence ends.
enum class AlignmentEnd {
  kWhole,  // with its last place: those that nothing stands at were left out
  kCut,    // anywhere: nobody knows what would have come
};

// `fits`[kind][operator]: how well an operator of that number stands at a place of that kind. An operator belongs to
// the innermost module that is sure enough (0.75), or to none where not even the outermost is. Beyond kMaxAlignedCells
// (operators x places) nothing is aligned: all have depth 0.
std::vector<AlignedOperator> AlignOperators(const std::vector<int>& operators,
                                            const std::vector<AlignmentPlace>& places,
                                            const std::vector<std::vector<double>>& fits, AlignmentEnd end);

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_OPERATOR_ALIGNMENT_H_
