// How well operator laws predict rows, by class of operators, beside what any law has to beat.
#ifndef DSOCR_DAEMON_CALIBRATE_EVALUATION_H_
#define DSOCR_DAEMON_CALIBRATE_EVALUATION_H_

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "analytic/law/law.h"
#include "daemon/calibrate/law_file.h"
#include "dsocr/v1/validation.pb.h"

namespace dsocr::calibrate {

// Whether the model has a sample of this size and dtype.
bool HasSeen(const analytic::LawModel& model, const analytic::Sample& row);

struct Judges {
  const analytic::Device* target = nullptr;     // predicted for
  const analytic::Device* datasheet = nullptr;  // of the baselines that need one; null: there is none
  std::function<bool()> is_cancelled = [] { return false; };
};

// A score for each class that has a row, an op's and its kinds'. CANCELLED once is_cancelled says so.
absl::StatusOr<std::map<std::string, v1::OperatorScore>> ScoreRows(const analytic::LawModel& model,
                                                                   const std::vector<analytic::Sample>& rows,
                                                                   const Judges& judges);

// The errors of `samples` when each is predicted by laws that were fitted to others: ten parts of them take turns; of
// many, one part alone.
absl::StatusOr<std::map<std::string, HeldOut>> ScoreHeldOut(const analytic::Device& device,
                                                            const std::vector<analytic::Sample>& samples,
                                                            const std::function<bool()>& is_cancelled);

}  // namespace dsocr::calibrate

#endif  // DSOCR_DAEMON_CALIBRATE_EVALUATION_H_
