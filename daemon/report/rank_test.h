// Whether two samples of a time come from one distribution: Mann and Whitney's U test ("On a test of whether one of two
// random variables is stochastically larger than the other", 1947).
#ifndef DSOCR_DAEMON_REPORT_RANK_TEST_H_
#define DSOCR_DAEMON_REPORT_RANK_TEST_H_

#include <optional>
#include <vector>

namespace dsocr::report {

// The two-sided p-value: exact for up to kExactSize values without ties on each side, else the normal approximation
// with continuity and ties corrected. Values are taken as independent of each other. nullopt: a side has under 2.
inline constexpr int kExactSize = 20;
std::optional<double> MannWhitneyP(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace dsocr::report

#endif  // DSOCR_DAEMON_REPORT_RANK_TEST_H_
