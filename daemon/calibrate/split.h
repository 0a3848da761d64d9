// A part of a table drawn at random, and the file that remembers it, so that a study can be made again.
#ifndef DSOCR_DAEMON_CALIBRATE_SPLIT_H_
#define DSOCR_DAEMON_CALIBRATE_SPLIT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "analytic/law/law.h"

namespace dsocr::calibrate {

struct Split {
  int64_t seed = 0;
  std::vector<analytic::Sample> drawn;  // sorted by RowText
};

// `points` of the rows, each as likely as any other. The same rows in any order and the same seed give the same rows,
// on any machine. REQUIRES: points <= rows.size().
Split DrawRows(const std::vector<analytic::Sample>& rows, size_t points, int64_t seed);

std::string WriteSplit(const Split& split);
absl::StatusOr<Split> ReadSplit(std::string_view text);  // INVALID_ARGUMENT, naming the key

// What is left of `rows` without those that were drawn. INVALID_ARGUMENT for a drawn row that is not among them: the
// split is of another table.
absl::StatusOr<std::vector<analytic::Sample>> RowsWithout(const Split& split,
                                                          const std::vector<analytic::Sample>& rows);

}  // namespace dsocr::calibrate

#endif  // DSOCR_DAEMON_CALIBRATE_SPLIT_H_
