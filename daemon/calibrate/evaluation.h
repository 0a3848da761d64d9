// How well operator laws predict rows, by class of operators, beside what any law has to beat.
#ifndef DSOCR_DAEMON_CALIBRATE_EVALUATION_H_
#define DSOCR_DAEMON_CALIBRATE_EVALUATION_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "analytic/law/law.h"
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

// What the laws say of themselves: errors of rows that were held out when they were fitted. By kind, with the dtype
// where that is not bf16: "gemm_wide", "moe.fp32".
std::map<std::string, v1::HeldOutScore> HeldOutScores(const analytic::LawModel& model);

}  // namespace dsocr::calibrate

#endif  // DSOCR_DAEMON_CALIBRATE_EVALUATION_H_
