#include "daemon/report/residual.h"

#include <cmath>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/daemon/report/sample_join.h"

namespace dsocr::report {
namespace {

using analytic::Prediction;
using attribution::ModuleSum;
using testing::SizeIs;

int64_t Nanoseconds(double ms) { return std::llround(ms * 1e6); }

int64_t SumOf(const v1::Residual& residual) {
  int64_t sum_ns = 0;
  for (const v1::ResidualPart& part : residual.parts()) {
    sum_ns += Nanoseconds(part.residual_ms());
  }
  return sum_ns;
}

// 0 where the cause has no part.
int64_t TimeOf(const v1::Residual& residual, v1::ResidualCause cause, const std::string& category = "") {
  for (const v1::ResidualPart& part : residual.parts()) {
    if (part.cause() == cause && part.category_id() == category) {
      return Nanoseconds(part.residual_ms());
    }
  }
  return 0;
}

ModuleSum& SumOfModule(attribution::Result& measured, const std::string& id) {
  for (ModuleSum& sum : measured.request.modules) {
    if (sum.module_id == id) {
      return sum;
    }
  }
  throw std::out_of_range(id);
}

TEST(ExplainResidual, EachCauseHasWhatItTook) {
  const v1::Residual residual = ExplainResidual(SampleMeasurement(), SamplePrediction(), {});
  EXPECT_EQ(Nanoseconds(residual.residual_ms()), 1'000'000);
  EXPECT_EQ(TimeOf(residual, v1::RESIDUAL_CAUSE_OPERATORS, "gemm"), 1'000'000);
  EXPECT_EQ(TimeOf(residual, v1::RESIDUAL_CAUSE_OPERATORS, "sampling"), -1'000'000);
  EXPECT_EQ(TimeOf(residual, v1::RESIDUAL_CAUSE_WORK), 500'000);  // prefill's own copy
  EXPECT_EQ(TimeOf(residual, v1::RESIDUAL_CAUSE_HOST_GAPS), 250'000);
  EXPECT_EQ(TimeOf(residual, v1::RESIDUAL_CAUSE_UNATTRIBUTED), 250'000);
  EXPECT_THAT(residual.parts(), SizeIs(5));
  EXPECT_EQ(SumOf(residual), 1'000'000);
}

TEST(ExplainResidual, LargestPartsComeFirstAndNameTheirModule) {
  const v1::Residual residual = ExplainResidual(SampleMeasurement(), SamplePrediction(), {});
  EXPECT_EQ(residual.parts(0).module_id(), "prefill/layer[0,2]/q_proj");
  EXPECT_EQ(residual.parts(0).text(), "gemm operators took 2.0x the predicted time");
  EXPECT_EQ(residual.parts(1).module_id(), "prefill/sample");
  EXPECT_EQ(residual.parts(1).text(), "sampling operators 50 % faster than predicted");
  EXPECT_EQ(residual.parts(2).module_id(), "prefill");
  EXPECT_FALSE(residual.parts(4).has_module_id());
}

TEST(ExplainResidual, ThePlaceOfAPartHasItsLargestInput) {
  Prediction prediction = SamplePrediction();
  prediction.modules[3].input_shapes = {{6, 100, 64}, {1, 400, 640}};
  const v1::Residual residual = ExplainResidual(SampleMeasurement(), prediction, {});
  EXPECT_THAT(residual.parts(0).input_shape().dims(), testing::ElementsAre(1, 400, 640));
  EXPECT_FALSE(residual.parts(1).has_input_shape());
}

TEST(ExplainResidual, MoreCallsAreMoreWorkAndNotSlowerOperators) {
  attribution::Result measured = SampleMeasurement();
  SumOfModule(measured, "prefill/layer[0,2]/q_proj").calls = 2;  // 1 was expected
  const v1::Residual residual = ExplainResidual(measured, SamplePrediction(), {});
  EXPECT_EQ(TimeOf(residual, v1::RESIDUAL_CAUSE_OPERATORS, "gemm"), 0);
  EXPECT_EQ(TimeOf(residual, v1::RESIDUAL_CAUSE_WORK), 1'500'000);
  EXPECT_EQ(SumOf(residual), 1'000'000);
}

TEST(ExplainResidual, AModuleThatNeverRanIsLessWork) {
  attribution::Result measured = SampleMeasurement();
  measured.request.modules.pop_back();  // prefill/sample: 1 ms, 2 predicted
  measured.request.attributed_ns -= 1'000'000;
  measured.request.total_ns -= 1'000'000;
  for (ModuleSum& sum : measured.request.modules) {
    if (sum.module_id == "deepseek_ocr" || sum.module_id == "prefill") {
      sum.device_ns = sum.busy_ns = 2'500'000;
    }
  }
  const v1::Residual residual = ExplainResidual(measured, SamplePrediction(), {});
  EXPECT_EQ(TimeOf(residual, v1::RESIDUAL_CAUSE_OPERATORS, "sampling"), 0);
  EXPECT_EQ(TimeOf(residual, v1::RESIDUAL_CAUSE_WORK), 500'000 - 2'000'000);
  EXPECT_EQ(SumOf(residual), 0);
}

TEST(ExplainResidual, RecordingIsNoGapOfTheJobs) {
  attribution::Result measured = SampleMeasurement();
  measured.agent_cost_ns = 100'000;
  const v1::Residual residual = ExplainResidual(measured, SamplePrediction(), {});
  EXPECT_EQ(TimeOf(residual, v1::RESIDUAL_CAUSE_TRACING), 100'000);
  EXPECT_EQ(TimeOf(residual, v1::RESIDUAL_CAUSE_HOST_GAPS), 150'000);
}

TEST(ExplainResidual, TimeWithoutACoreIsNotTheOperators) {
  const v1::Residual residual = ExplainResidual(SampleMeasurement(), SamplePrediction(), {.off_cpu_ns = 900'000});
  EXPECT_EQ(TimeOf(residual, v1::RESIDUAL_CAUSE_CONTENTION), 900'000);
  EXPECT_EQ(TimeOf(residual, v1::RESIDUAL_CAUSE_OPERATORS, "gemm"), 1'000'000 - 600'000);  // 2 of the 3 ms
  EXPECT_EQ(TimeOf(residual, v1::RESIDUAL_CAUSE_OPERATORS, "sampling"), -1'000'000 - 300'000);
  EXPECT_EQ(SumOf(residual), 1'000'000);
}

// gemm took 2 ms where 1 was predicted, and sampling 1 ms where 2 were, so that there is nothing to explain.
TEST(ExplainResidual, ASlowerMachineIsNotTheOperators) {
  const v1::Residual residual =
      ExplainResidual(SampleMeasurement(), SamplePrediction(), {.product_slowdown = 1.25, .traffic_slowdown = 1.3});
  EXPECT_EQ(TimeOf(residual, v1::RESIDUAL_CAUSE_CONTENTION), 400'000);
  EXPECT_EQ(TimeOf(residual, v1::RESIDUAL_CAUSE_OPERATORS, "gemm"), 1'000'000 - 400'000);
  EXPECT_EQ(TimeOf(residual, v1::RESIDUAL_CAUSE_OPERATORS, "sampling"), -1'000'000);
  EXPECT_EQ(SumOf(residual), 1'000'000);
  const auto part = std::find_if(residual.parts().begin(), residual.parts().end(),
                                 [](const v1::ResidualPart& p) { return p.cause() == v1::RESIDUAL_CAUSE_CONTENTION; });
  EXPECT_EQ(part->text(), "the machine was slower than when it was calibrated");
}

TEST(ExplainResidual, OperationsSideBySideAreAPartOfTheirOwn) {
  attribution::Result measured = SampleMeasurement();
  SumOfModule(measured, "deepseek_ocr").busy_ns = 3'200'000;  // of 3.5 ms of operations
  const v1::Residual residual = ExplainResidual(measured, SamplePrediction(), {});
  EXPECT_EQ(TimeOf(residual, v1::RESIDUAL_CAUSE_OVERLAP), -300'000);
  EXPECT_EQ(TimeOf(residual, v1::RESIDUAL_CAUSE_HOST_GAPS), 550'000);
  EXPECT_EQ(SumOf(residual), 1'000'000);
}

TEST(ExplainResidual, IdleTimeThatWasPredictedIsNoSurprise) {
  Prediction prediction = SamplePrediction();
  for (analytic::PredictedModule& module : prediction.modules) {
    for (analytic::CategoryFigures& op : module.figures.operators) {
      op.idle_ns = op.time_ns / 5;
    }
  }
  const v1::Residual residual = ExplainResidual(SampleMeasurement(), prediction, {});
  EXPECT_EQ(TimeOf(residual, v1::RESIDUAL_CAUSE_HOST_GAPS), 250'000 - 600'000);
  EXPECT_EQ(TimeOf(residual, v1::RESIDUAL_CAUSE_OPERATORS, "gemm"), 2'000'000 - 800'000);
  EXPECT_EQ(SumOf(residual), 1'000'000);
}

// SampleMeasurement on a GPU whose host has waited: a part of the 0.25 ms of gaps.
attribution::Result SampleWithWaits(int64_t sync_gap_ns) {
  attribution::Result measured = SampleMeasurement();
  measured.gpu.emplace();
  measured.gpu->wait_ns = 2'000'000;
  measured.request.sync_gap_ns = sync_gap_ns;
  return measured;
}

// Half a millisecond of each operator waits for the host, a fifth of that after a synchronisation: 2 x 0.1 ms.
Prediction SampleWithSyncIdle() {
  Prediction prediction = SamplePrediction();
  for (analytic::PredictedModule& module : prediction.modules) {
    for (analytic::CategoryFigures& op : module.figures.operators) {
      op.idle_ns = op.time_ns > 0 ? 500'000 : 0;
      op.sync_idle_ns = op.idle_ns / 5;
    }
  }
  return prediction;
}

TEST(ExplainResidual, GapsThatFollowASynchronisationAreAPartOfTheirOwn) {
  const v1::Residual residual = ExplainResidual(SampleWithWaits(180'000), SamplePrediction(), {});
  EXPECT_EQ(TimeOf(residual, v1::RESIDUAL_CAUSE_SYNCHRONISATION), 180'000);
  EXPECT_EQ(TimeOf(residual, v1::RESIDUAL_CAUSE_HOST_GAPS), 70'000);
  EXPECT_EQ(SumOf(residual), 1'000'000);
}

TEST(ExplainResidual, SynchronisationIsHeldAgainstItsOwnPrediction) {
  const v1::Residual residual = ExplainResidual(SampleWithWaits(180'000), SampleWithSyncIdle(), {});
  EXPECT_EQ(TimeOf(residual, v1::RESIDUAL_CAUSE_SYNCHRONISATION), 180'000 - 200'000);
  EXPECT_EQ(TimeOf(residual, v1::RESIDUAL_CAUSE_HOST_GAPS), 70'000 - 800'000);
  EXPECT_EQ(SumOf(residual), 1'000'000);
  const v1::ResidualPart& part = residual.parts(residual.parts_size() - 1);
  EXPECT_EQ(part.cause(), v1::RESIDUAL_CAUSE_SYNCHRONISATION) << "the smallest";
  EXPECT_EQ(part.text(), "less time lost to synchronisation than predicted");
}

TEST(ExplainResidual, WithoutRecordedWaitsSynchronisationIsNotToldFromOtherGaps) {
  attribution::Result imported = SampleMeasurement();
  imported.gpu.emplace();
  const v1::Residual residual = ExplainResidual(imported, SampleWithSyncIdle(), {});
  EXPECT_EQ(TimeOf(residual, v1::RESIDUAL_CAUSE_SYNCHRONISATION), 0);
  EXPECT_EQ(TimeOf(residual, v1::RESIDUAL_CAUSE_HOST_GAPS), 250'000 - 1'000'000);
  EXPECT_EQ(SumOf(residual), 1'000'000);
}

TEST(ExplainResidual, SynchronisationIsNoMoreThanTheGapsWithoutTheRecording) {
  attribution::Result measured = SampleWithWaits(240'000);
  measured.agent_cost_ns = 100'000;
  const v1::Residual residual = ExplainResidual(measured, SamplePrediction(), {});
  EXPECT_EQ(TimeOf(residual, v1::RESIDUAL_CAUSE_TRACING), 100'000);
  EXPECT_EQ(TimeOf(residual, v1::RESIDUAL_CAUSE_SYNCHRONISATION), 150'000);
  EXPECT_EQ(TimeOf(residual, v1::RESIDUAL_CAUSE_HOST_GAPS), 0);
  EXPECT_EQ(SumOf(residual), 1'000'000);
}

TEST(ExplainResidual, SynchronisationsThatCostWhatTheStepModelSaysAreNoSurprise) {
  const ReportInput input = SampleInput();
  const Prediction prediction = *analytic::Predict(input.model, input.workload, input.device);
  double sync_idle_ns = 0;
  for (const analytic::CategoryFigures& op : prediction.modules.front().figures.operators) {
    sync_idle_ns += op.sync_idle_ns;
  }
  ASSERT_GT(sync_idle_ns, 1'000'000) << "a dozen in each step of decode";
  attribution::Result measured = MeasurementOf(prediction, 1000);
  measured.gpu.emplace();
  measured.gpu->wait_ns = 1;
  measured.request.sync_gap_ns = std::llround(sync_idle_ns);
  measured.request.total_ns += 2 * measured.request.sync_gap_ns;
  const v1::Residual residual = ExplainResidual(measured, prediction, {});
  EXPECT_EQ(TimeOf(residual, v1::RESIDUAL_CAUSE_SYNCHRONISATION), 0);
  EXPECT_EQ(SumOf(residual), Nanoseconds(residual.residual_ms()));
}

TEST(ExplainResidual, PartsAddUpToTheNanosecondForAnyTimes) {
  const ReportInput input = SampleInput();
  const Prediction prediction = *analytic::Predict(input.model, input.workload, input.device);
  std::mt19937_64 random(7);
  for (int round = 0; round < 20; ++round) {
    attribution::Result measured = MeasurementOf(prediction, 1 + static_cast<int64_t>(random() % 1'000'000));
    measured.request.unattributed_ns = static_cast<int64_t>(random() % 1000);
    measured.request.total_ns += measured.request.unattributed_ns + static_cast<int64_t>(random() % 100'000);
    measured.agent_cost_ns = static_cast<int64_t>(random() % 100'000);
    if (round % 2 == 1) {
      measured.gpu.emplace();
      measured.gpu->wait_ns = 1;
      measured.request.sync_gap_ns = static_cast<int64_t>(random() % 200'000);
    }
    for (ModuleSum& sum : measured.request.modules) {
      sum.calls += static_cast<int64_t>(random() % 3);
    }
    const Contention contention = {.off_cpu_ns = static_cast<int64_t>(random() % 1'000'000),
                                   .product_slowdown = 0.5 + static_cast<double>(random() % 100) / 50,
                                   .traffic_slowdown = 0.5 + static_cast<double>(random() % 100) / 50};
    const v1::Residual residual = ExplainResidual(measured, prediction, contention);
    EXPECT_EQ(SumOf(residual), Nanoseconds(residual.residual_ms()));
    EXPECT_EQ(Nanoseconds(residual.residual_ms()),
              measured.request.total_ns - std::llround(prediction.modules.front().figures.time_ns));
  }
}

}  // namespace
}  // namespace dsocr::report
