// Public tables of measured operators, reference/op_tables, and how laws are judged on them: rows drawn from some
// shapes, errors on the others.
#ifndef DSOCR_TESTS_ANALYTIC_LAW_OP_TABLE_H_
#define DSOCR_TESTS_ANALYTIC_LAW_OP_TABLE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "analytic/law/law.h"

namespace dsocr::analytic {

// Rows of DSOCR_SHARED_DIR/reference/op_tables/NAME.csv.gz, which is there.
std::vector<Sample> ReadOpTable(const std::string& name);

// Those of some classes.
std::vector<Sample> OfClasses(const std::vector<Sample>& samples, const std::vector<LawClass>& classes);

struct Split {
  std::vector<Sample> train;
  std::vector<Sample> test;
};
// `rows` rows drawn from a share of the hold-out units, and all rows of the other units. The same for the same seed.
Split Draw(const std::vector<Sample>& samples, size_t rows, double train_share, uint64_t seed);

struct Accuracy {
  double rows = 0;
  double mape = 0;
  double median = 0;
  double p90 = 0;
  double cover_50 = 0;
  double cover_90 = 0;
  double width_90 = 0;  // geometric mean of the upper bound over the estimate
};
Accuracy Judge(const std::vector<Sample>& test, const std::function<Estimate(const Sample&)>& predict);
Accuracy JudgeModel(const LawModel& model, const Device& target, const std::vector<Sample>& test);

// The mean over `splits` seeds.
Accuracy Study(const Device& device, const std::vector<Sample>& samples, size_t rows, double train_share, int splits);

// Each model's experts predicted from the rows of the others.
Accuracy LeaveOneModelOut(const Device& device, const std::vector<Sample>& moe);

}  // namespace dsocr::analytic

#endif  // DSOCR_TESTS_ANALYTIC_LAW_OP_TABLE_H_
