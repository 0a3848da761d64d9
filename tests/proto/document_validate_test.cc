#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/document.h"
#include "tests/proto/sample_report.h"

namespace dsocr::document {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::vector<std::string> Problems(const v1::AnalyticModelReport& report) {
  std::vector<std::string> lines;
  for (const v1::CheckProblem& problem : Validate(report)) {
    lines.push_back(problem.path() + ": " + problem.value() + ": " + problem.reason());
  }
  return lines;
}

TEST(Validate, AcceptsWhatAReportShouldBe) {
  EXPECT_THAT(Problems(SampleReport()), IsEmpty());
  EXPECT_THAT(Problems(PredictedOnly()), IsEmpty());
  EXPECT_THAT(Problems(SampleGpuReport()), IsEmpty());
}

TEST(Validate, AcceptsAJobWhoseModelIsNotRecognised) {
  v1::AnalyticModelReport report = SampleReport();
  report.clear_model();
  report.clear_workload();
  report.clear_predicted_total_time_ms();
  report.clear_residual();
  report.clear_module_metrics();
  report.clear_layer_docs_dir();
  EXPECT_THAT(Problems(report), IsEmpty());
}

TEST(Validate, RefusesRelativePaths) {
  v1::AnalyticModelReport report = SampleReport();
  report.mutable_model()->set_config_path("config.json");
  report.set_layer_docs_dir("");
  report.mutable_provenance()->mutable_weights()->set_path("weights");
  EXPECT_THAT(Problems(report), ElementsAre("model.config_path: \"config.json\": must be an absolute path",
                                            "layer_docs_dir: \"\": must be an absolute path",
                                            "provenance.weights.path: \"weights\": must be an absolute path"));
}

TEST(Validate, RefusesNegativeAndInfiniteNumbersButNotNegativeResiduals) {
  v1::AnalyticModelReport report = SampleReport();
  report.mutable_module_metrics(1)->set_total_time_ms(-1);
  report.mutable_module_metrics(2)->set_calls(-2);
  report.mutable_module_measurements(0)->set_residual_ms(-7);
  report.set_measured_total_time_ms(std::numeric_limits<double>::infinity());
  (*report.mutable_modules(0)->mutable_constructor_params())["eps"].set_float_value(
      std::numeric_limits<double>::infinity());
  EXPECT_THAT(Problems(report), ElementsAre("modules[0].constructor_params.eps: inf: must be finite",
                                            "module_metrics[1].total_time_ms: -1.0: must not be negative",
                                            "module_metrics[2].calls: -2: must not be negative",
                                            "measured_total_time_ms: inf: must be finite"));
}

TEST(Validate, BoundsSharesAndWantsDriftInTheNotes) {
  v1::AnalyticModelReport report = SampleReport();
  report.mutable_module_metrics(0)->set_share_of_model_time(1.6);
  EXPECT_THAT(Problems(report), ElementsAre("module_metrics[0].share_of_model_time: 1.6: a share must be in [0, 1.5]"));

  report.mutable_module_metrics(0)->set_share_of_model_time(1.2);
  EXPECT_THAT(Problems(report),
              ElementsAre("notes: \"\": a share is above 1, and the notes do not say 'estimator drift'"));

  report.set_notes("estimator drift: deepseek_ocr has a share of 1.2");
  EXPECT_THAT(Problems(report), IsEmpty());
}

TEST(Validate, WantsTheLedgerToClose) {
  v1::AnalyticModelReport report = SampleGpuReport();
  v1::Ledger* ledger = report.mutable_attribution()->mutable_ledger();
  ledger->mutable_streams(0)->set_recorded(1203999);
  EXPECT_THAT(Problems(report),
              ElementsAre("attribution.ledger.streams[0].launched: 1204003: must be recorded 1203999 + dropped 0 + "
                          "invalid 0 + pending 3",
                          "attribution.ledger.recorded: 1204316: must be the sum of the streams"));
  ledger->mutable_streams(0)->set_recorded(1204000);
  ledger->set_launched(std::numeric_limits<int64_t>::max());
  EXPECT_THAT(Problems(report), SizeIs(2));
  ledger->set_launched(1204331);
  ledger->mutable_streams(1)->clear_pending();
  EXPECT_THAT(Problems(report),
              ElementsAre("attribution.ledger.streams[1].pending: null: launched and pending are there together, or "
                          "neither is"));
}

TEST(Validate, BoundsWhatIsSaidOfTheRecording) {
  v1::AnalyticModelReport report = SampleGpuReport();
  v1::Attribution* attribution = report.mutable_attribution();
  attribution->mutable_graphs()->set_inferred_confidence(1.25);
  attribution->mutable_sampling()->set_budget_share(1.5);
  attribution->mutable_sampling()->set_requests_recorded(1001);
  attribution->mutable_sampling()->set_device_time_95_ms(0, -1);
  attribution->mutable_incidents(1)->set_code("");
  EXPECT_THAT(Problems(report), ElementsAre("attribution.graphs.inferred_confidence: 1.25: must be in [0, 1]",
                                            "attribution.sampling.budget_share: 1.5: must be in [0, 1]",
                                            "attribution.sampling.device_time_95_ms[0]: -1.0: must not be negative",
                                            "attribution.sampling.requests_recorded: 1001: more than the 1000 seen",
                                            "attribution.incidents[1].code: \"\": must not be empty"));
  attribution = report.mutable_attribution();
  *attribution = SampleGpuReport().attribution();
  attribution->mutable_sampling()->set_device_time_95_ms(1, 1);
  EXPECT_THAT(Problems(report), ElementsAre("attribution.sampling.device_time_95_ms: [2]: must be [low, high]"));
  *attribution = SampleGpuReport().attribution();
  attribution->set_sync_gap_time_ms(report.measured_total_time_ms() + 0.5);
  EXPECT_THAT(Problems(report), ElementsAre("attribution.sync_gap_time_ms: 12500.5: is longer than the request"));
}

TEST(Validate, WantsThePicksOfEveryLayerToBeOfTheSameExpertsAndTokens) {
  v1::AnalyticModelReport report = SampleReport();
  v1::ModuleMeasurement* measured = report.mutable_module_measurements(0);
  const auto add = [measured](int64_t layer, const std::vector<int64_t>& picks) {
    v1::ExpertPicks* added = measured->add_expert_picks();
    added->set_layer(layer);
    added->mutable_picks()->Assign(picks.begin(), picks.end());
  };
  add(1, {3, 1, 2});
  add(2, {2, 2, 2});
  EXPECT_THAT(Problems(report), IsEmpty());
  add(2, {2, 2, 2});
  add(3, {3, 3});
  add(4, {3, 3, 1});
  add(5, {-1, 4, 3});
  EXPECT_THAT(
      Problems(report),
      ElementsAre("module_measurements[0].expert_picks[5].picks[0]: -1: must not be negative",
                  "module_measurements[0].expert_picks[2].layer: 2: must be above the layer before it",
                  "module_measurements[0].expert_picks[3].picks: [2]: must be 3 with the sum of those of layer 1",
                  "module_measurements[0].expert_picks[4].picks: [3]: must be 3 with the sum of those of layer 1"));
}

TEST(Validate, WantsIntervalsToHaveTwoEndsInOrder) {
  v1::AnalyticModelReport report = SampleReport();
  v1::ModuleMetricsSnapshot* metrics = report.mutable_module_metrics(0);
  metrics->add_interval_90_ms(1);
  metrics->add_interval_50_ms(2);
  metrics->add_interval_50_ms(1);
  metrics->mutable_operator_breakdown(0)->add_interval_90_ms(1);
  EXPECT_THAT(
      Problems(report),
      ElementsAre("module_metrics[0].interval_50_ms: [2]: must be [low, high], or empty",
                  "module_metrics[0].interval_90_ms: [1]: must be [low, high], or empty",
                  "module_metrics[0].operator_breakdown[0].interval_90_ms: [1]: must be [low, high], or empty"));
}

TEST(Validate, WantsTheResidualToAddUp) {
  v1::AnalyticModelReport report = SampleReport();
  v1::Residual* residual = report.mutable_residual();
  residual->mutable_parts(3)->set_residual_ms(1.500001);
  EXPECT_THAT(Problems(report), ElementsAre("residual.residual_ms: 500: must be the sum of the parts"));
  residual->set_residual_ms(500.000001);
  EXPECT_THAT(Problems(report), IsEmpty());
  residual->mutable_parts(0)->set_module_id("vision/nobody");
  residual->mutable_parts(1)->set_category_id("magic");
  EXPECT_THAT(Problems(report),
              ElementsAre("residual.parts[0].module_id: \"vision/nobody\": no module has this id",
                          "residual.parts[1].category_id: \"magic\": no operator category has this id"));
  residual->mutable_parts(0)->clear_module_id();
  residual->mutable_parts(1)->clear_category_id();
  report.clear_measured_total_time_ms();
  EXPECT_THAT(Problems(report), ElementsAre("residual: {…}: must be null where nothing was measured or predicted"));
}

TEST(Validate, RefusesWhatIsEmptyOrMissing) {
  v1::AnalyticModelReport report = SampleReport();
  report.clear_report_id();
  report.mutable_workload()->clear_profile_id();
  report.clear_provenance();
  report.mutable_operator_categories(0)->clear_category_id();
  report.clear_module_metrics();
  report.clear_module_measurements();
  report.clear_residual();
  EXPECT_THAT(
      Problems(report),
      ElementsAre("report_id: \"\": must not be empty", "workload.profile_id: \"\": must not be empty",
                  "provenance: null: must be there", "operator_categories[0].category_id: \"\": must not be empty"));
  v1::AnalyticModelReport half = SampleReport();
  half.clear_model();
  EXPECT_THAT(Problems(half), ElementsAre("model: null: model and workload are there together, or neither is"));
}

TEST(Validate, RefusesAChildThatStandsTwice) {
  v1::AnalyticModelReport report = SampleReport();
  report.mutable_modules(1)->add_children("vision/sam");
  EXPECT_THAT(Problems(report), ElementsAre("modules[1].children[2]: \"vision/sam\": this child stands twice"));
}

TEST(Validate, ShowsHostileIdsOnOneShortLine) {
  v1::AnalyticModelReport report = SampleReport();
  report.mutable_modules(1)->set_children(0, "a\n\x1b[31m" + std::string(1000, 'x'));
  const std::string problem = Problems(report).front();
  EXPECT_EQ(problem.find_first_of("\n\x1b"), std::string::npos);
  EXPECT_LT(problem.size(), 150u);
}

TEST(Validate, RefusesTwoNodesOfOneId) {
  v1::AnalyticModelReport report = SampleReport();
  *report.add_modules() = report.modules(6);
  EXPECT_THAT(Problems(report), ElementsAre("modules[7].module_id: \"decode\": this module_id stands twice",
                                            "modules[7].module_id: \"decode\": the root does not reach this node: its "
                                            "parent does not list it, or it is on a cycle"));
}

TEST(Validate, RefusesACycle) {
  v1::AnalyticModelReport report = SampleReport();
  // vision/sam and vision/clip list each other, and nobody else lists them.
  report.mutable_modules(1)->clear_children();
  report.mutable_modules(2)->set_parent_id("vision/clip");
  report.mutable_modules(2)->add_children("vision/clip");
  report.mutable_modules(3)->set_parent_id("vision/sam");
  report.mutable_modules(3)->add_children("vision/sam");
  EXPECT_THAT(Problems(report), SizeIs(2));
  EXPECT_EQ(Validate(report)[0].path(), "modules[2].module_id");
}

TEST(Validate, RefusesTwoRootsAndNoRoot) {
  v1::AnalyticModelReport two = SampleReport();
  two.mutable_modules(0)->mutable_children()->RemoveLast();
  two.mutable_modules(6)->clear_parent_id();
  EXPECT_THAT(Problems(two), ElementsAre("modules[6].parent_id: null: \"deepseek_ocr\" is the root already"));

  v1::AnalyticModelReport none = SampleReport();
  none.mutable_modules(0)->set_parent_id("decode");
  none.mutable_modules(6)->add_children("deepseek_ocr");
  EXPECT_THAT(Problems(none), ElementsAre("modules: 7 nodes: there is no root, a node without parent_id"));
}

TEST(Validate, RefusesParentsAndChildrenThatDisagree) {
  v1::AnalyticModelReport report = SampleReport();
  report.mutable_modules(1)->set_children(0, "vision/samm");
  report.mutable_modules(3)->set_parent_id("decode");
  EXPECT_THAT(
      Problems(report),
      ElementsAre("modules[1].children[0]: \"vision/samm\": no module has this id",
                  "modules[1].children[1]: \"vision/clip\": its parent_id is \"decode\"",
                  "modules[2].module_id: \"vision/sam\": the root does not reach this node: its parent does not "
                  "list it, or it is on a cycle",
                  "modules[3].module_id: \"vision/clip\": the root does not reach this node: its parent does not "
                  "list it, or it is on a cycle"));
}

TEST(Validate, RefusesReferencesThatDoNotResolve) {
  v1::AnalyticModelReport report = SampleReport();
  report.mutable_module_metrics(0)->set_module_id("root");
  report.mutable_module_metrics(1)->set_profile_id("dsocr-tiny-v1");
  report.mutable_module_metrics(2)->mutable_operator_breakdown(0)->set_category_id("gem");
  report.mutable_module_metrics(3)->clear_operator_breakdown();
  report.mutable_module_measurements(2)->set_module_id("vision");
  report.mutable_operator_categories(2)->set_category_id("gemm");
  report.mutable_module_measurements(3)->mutable_operator_breakdown(0)->set_category_id("gemm");
  EXPECT_THAT(
      Problems(report),
      ElementsAre("operator_categories[2].category_id: \"gemm\": this category_id stands twice",
                  "module_metrics[0].module_id: \"root\": no module has this id",
                  "module_metrics[1].profile_id: \"dsocr-tiny-v1\": not the report's workload",
                  "module_metrics[2].operator_breakdown[0].category_id: \"gem\": no operator category has this id",
                  "module_metrics[3].operator_breakdown: []: must not be empty",
                  "module_measurements[2].module_id: \"vision\": this module_id stands twice"));
}

TEST(Validate, RefusesEnumsThatSayNothing) {
  v1::AnalyticModelReport report = SampleReport();
  report.mutable_modules(0)->set_stage(v1::STAGE_UNSPECIFIED);
  EXPECT_THAT(Problems(report), ElementsAre("modules[0].stage: unspecified: not a value of this enumeration"));
}

TEST(Validate, StopsCountingProblemsSomewhere) {
  v1::AnalyticModelReport report;
  for (int i = 0; i < 5000; ++i) {
    report.add_modules();
  }
  EXPECT_THAT(Validate(report), SizeIs(1000));
}

TEST(Check, GivesTheOneProblemOfADocumentThatDoesNotParse) {
  const std::vector<v1::CheckProblem> problems = Check("{\"reports\": 1}", Format::kJson, false);
  ASSERT_THAT(problems, SizeIs(1));
  EXPECT_EQ(problems[0].path(), "reports");
  EXPECT_EQ(problems[0].reason(), "unknown key");
  EXPECT_THAT(Check(ToYaml(SampleReport()), Format::kYaml, false), IsEmpty());
}

}  // namespace
}  // namespace dsocr::document
