#include "daemon/validate/repeats.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dsocr::validate {
namespace {

using ::testing::ElementsAre;

v1::RunRepeats Requests(const char* module_id, const std::vector<int64_t>& times_ns) {
  v1::RunRepeats requests;
  v1::ModuleTimes& module = *requests.add_modules();
  module.set_module_id(module_id);
  module.mutable_self_time_ns()->Assign(times_ns.begin(), times_ns.end());
  return requests;
}

TEST(RepeatsTest, RepeatsAreOwnTimesThatAddUpToTheRequests) {
  v1::AnalyticModelReport report;
  const auto add = [&](const char* module_id, const char* parent_id, std::vector<double> times_ms,
                       const char* category) {
    v1::AnalyticModuleNode& node = *report.add_modules();
    node.set_module_id(module_id);
    if (*parent_id != 0) {
      node.set_parent_id(parent_id);
    }
    v1::ModuleMeasurement& measured = *report.add_module_measurements();
    measured.set_module_id(module_id);
    measured.mutable_repeat_times_ms()->Assign(times_ms.begin(), times_ms.end());
    v1::MeasuredOperator& small = *measured.add_operator_breakdown();
    small.set_category_id("copy");
    small.set_device_time_ms(0.1);
    v1::MeasuredOperator& large = *measured.add_operator_breakdown();
    large.set_category_id(category);
    large.set_device_time_ms(5);
  };
  add("deepseek_ocr", "", {10, 20}, "gemm");
  add("prefill", "deepseek_ocr", {7, 9.000001}, "gemm");
  add("prefill/norm", "prefill", {2, 3}, "norm");
  add("decode", "deepseek_ocr", {}, "gemv");
  const v1::RunRepeats repeats = RepeatsOf(report);
  ASSERT_EQ(repeats.modules_size(), 3) << "decode has none";
  EXPECT_THAT(repeats.modules(0).self_time_ns(), ElementsAre(3'000'000, 10'999'999));
  EXPECT_THAT(repeats.modules(1).self_time_ns(), ElementsAre(5'000'000, 6'000'001));
  EXPECT_THAT(repeats.modules(2).self_time_ns(), ElementsAre(2'000'000, 3'000'000));
  EXPECT_EQ(repeats.modules(2).operator_category(), "norm");
}

TEST(RepeatsTest, ARepeatIsTheMeanOfTheFasterHalf) {
  const v1::RunRepeats requests = Requests("norm", {5, 3, 9000, 7, 4, 8, 2});
  EXPECT_THAT(BestOf(requests, 4).modules(0).self_time_ns(), ElementsAre(4)) << "3 and 5; the rest is left out";
  EXPECT_THAT(BestOf(requests, 3).modules(0).self_time_ns(), ElementsAre(4, 6)) << "two of three";
  EXPECT_THAT(BestOf(requests, 1).modules(0).self_time_ns(), ElementsAre(5, 3, 9000, 7, 4, 8, 2));
}

TEST(RepeatsTest, RunsFollowEachOther) {
  v1::RunRepeats repeats;
  Append(Requests("norm", {1, 2}), &repeats);
  Append(Requests("norm", {3}), &repeats);
  EXPECT_THAT(repeats.modules(0).self_time_ns(), ElementsAre(1, 2, 3));
  Append(Requests("gate", {4}), &repeats);
  EXPECT_EQ(repeats.modules_size(), 0) << "a module that is not in all runs has no times of all repeats";
}

}  // namespace
}  // namespace dsocr::validate
