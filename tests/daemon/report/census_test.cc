#include <string>

#include "daemon/report/report.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/daemon/report/sample_join.h"

namespace dsocr::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class CensusNote : public ::testing::Test {
 protected:
  CensusNote() {
    input_.workload = *analytic::FindWorkload("dsocr-tiny-v1");
    input_.device = *analytic::FindDevice("cpu");
    prediction_ = *analytic::Predict(input_.model, input_.workload, input_.device);
    report_ = BuildReport(input_, prediction_);
    for (const v1::ModuleMetricsSnapshot& metrics : report_.module_metrics()) {
      v1::ModuleMeasurement& measurement = *report_.add_module_measurements();
      measurement.set_calls(metrics.calls());
      measurement.set_launches(metrics.launches());
    }
  }

  // So many operators more in the module, and in all around it.
  void Dispatch(const std::string& module_id, int64_t more) {
    for (int i = prediction_.module_of_range.at(module_id); i >= 0; i = prediction_.modules[i].parent) {
      v1::ModuleMeasurement& measurement = *report_.mutable_module_measurements(i);
      measurement.set_launches(measurement.launches() + more);
    }
  }

  std::string Notes() {
    AddCensusNote(prediction_, &report_);
    return report_.notes();
  }

  ReportInput input_ = SampleInput();
  analytic::Prediction prediction_;
  v1::AnalyticModelReport report_;
};

TEST_F(CensusNote, SaysNothingWhereEveryModuleDispatchedWhatWasPredicted) {
  EXPECT_THAT(Notes(), Not(HasSubstr("census")));
}

TEST_F(CensusNote, NamesTheModuleThatIsFurthestOff) {
  Dispatch("vision/sam/net_2", 1);
  Dispatch("prefill/lm_head", -2);
  EXPECT_THAT(Notes(), HasSubstr("; census: 2 modules dispatched other operators than predicted, most in "
                                 "prefill/lm_head: 0 for 2"));
}

TEST_F(CensusNote, AnInnerModulesOwnOperatorsCount) {
  Dispatch("prefill", 1);
  EXPECT_THAT(Notes(),
              HasSubstr("census: 1 module dispatched other operators than predicted, most in prefill: 3 for 2"));
}

TEST_F(CensusNote, RoutedExpertsMayBeTwoPercentOff) {
  const std::string experts = "prefill/layer[1-11]/moe/experts";
  const int64_t predicted = report_.module_metrics(prediction_.module_of_range.at(experts)).launches();
  Dispatch(experts, predicted / 50);
  EXPECT_THAT(Notes(), Not(HasSubstr("census")));
  Dispatch(experts, 1);
  EXPECT_THAT(Notes(), HasSubstr("most in " + experts));
}

TEST_F(CensusNote, OtherCallsThanPredictedAreNoOtherCensus) {
  Dispatch("decode/sample", -3);
  const int sample = prediction_.module_of_range.at("decode/sample");
  report_.mutable_module_measurements(sample)->set_calls(report_.module_metrics(sample).calls() - 1);
  EXPECT_THAT(Notes(), Not(HasSubstr("census")));
}

TEST_F(CensusNote, LostRecordsAreNoOtherCensus) {
  Dispatch("decode/sample", -3);
  report_.mutable_attribution()->set_records_dropped(3);
  EXPECT_THAT(Notes(), Not(HasSubstr("census")));
}

}  // namespace
}  // namespace dsocr::report
