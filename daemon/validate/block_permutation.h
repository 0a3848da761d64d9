// A permutation test for many series at once: which of them are larger in the second part of a recording.
//
// Consecutive entries are alike, so whole blocks change sides. The statistic is the correlation of a series' block
// means with the sides: the order of Student's t. Of each arrangement the largest statistic of all series is taken: a
// p-value is then that of the whole family (Westfall and Young's maxT), whatever the dependence between the series.
#ifndef DSOCR_DAEMON_VALIDATE_BLOCK_PERMUTATION_H_
#define DSOCR_DAEMON_VALIDATE_BLOCK_PERMUTATION_H_

#include <vector>

#include "daemon/validate/counterpart.h"

namespace dsocr::validate {

// One-sided adjusted p-values, one a series. `series`: of blocks.length each. Where there are at most `permutations`
// arrangements all are looked at, and the test is exact; else that many are drawn, always the same ones.
// REQUIRES: both parts have a block; permutations > 0.
std::vector<double> PermutationTest(const std::vector<std::vector<double>>& series, const Blocks& blocks,
                                    int permutations);

}  // namespace dsocr::validate

#endif  // DSOCR_DAEMON_VALIDATE_BLOCK_PERMUTATION_H_
