#include "daemon/calibrate/fit.h"

#include <string>
#include <utility>
#include <vector>

#include "daemon/calibrate/evaluation.h"
#include "daemon/calibrate/law_file.h"
#include "daemon/calibrate/operator_table.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/daemon/calibrate/generated_table.h"

namespace dsocr::calibrate {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Key;

constexpr char kProfile[] = "name: Made-up\npeak_bf16_tflops: 500\nmemory_bandwidth_gbs: 2000\nl2_mib: 40\n";

const auto kNotCancelled = [] { return false; };

v1::FitCalibrationRequest Draw(int64_t points, int64_t seed) {
  v1::FitCalibrationRequest request;
  request.set_table_file_name("t.csv");
  request.set_points(points);
  request.set_seed(seed);
  request.set_wants_split(points > 0);
  return request;
}

v1::ProfileChoice MadeUp() {
  v1::ProfileChoice choice;
  choice.set_file_name("p.yaml");
  choice.set_data(kProfile);
  return choice;
}

v1::EvalCalibrationRequest Judge() {
  v1::EvalCalibrationRequest request;
  request.set_table_file_name("t.csv");
  request.set_calibration_file_name("c.json");
  return request;
}

FittedTable MustFit(const v1::FitCalibrationRequest& request, const std::string& table) {
  auto fitted = FitTable(request, table, "9.9.9", kNotCancelled);
  EXPECT_TRUE(fitted.ok()) << fitted.status();
  return fitted.ok() ? *std::move(fitted) : FittedTable();
}

v1::EvalCalibrationResponse MustEval(const v1::EvalCalibrationRequest& request, const UploadedFiles& files) {
  auto response = EvalTable(request, files, kNotCancelled);
  EXPECT_TRUE(response.ok()) << response.status();
  return response.ok() ? *std::move(response) : v1::EvalCalibrationResponse();
}

TEST(FitTable, SaysWhatItSawAndWithWhichFigures) {
  const std::string table = GemmTable(300);
  const FittedTable fitted = MustFit(Draw(60, 7), table);
  EXPECT_EQ(fitted.summary.device(), "Made-up GPU");
  EXPECT_EQ(fitted.summary.profile(), "estimated");
  EXPECT_EQ(fitted.summary.rows(), 60);
  EXPECT_EQ(fitted.summary.table_rows(), 300);
  EXPECT_EQ(fitted.summary.seed(), 7);
  EXPECT_THAT(fitted.summary.held_out(), Contains(Key("gemm_wide")));
  ASSERT_EQ(fitted.summary.notes_size(), 1);
  EXPECT_THAT(fitted.summary.notes(0), HasSubstr("estimated from the rows"));
  EXPECT_EQ(MustFit(Draw(60, 7), table).calibration, fitted.calibration);
  EXPECT_NE(MustFit(Draw(60, 8), table).calibration, fitted.calibration);
}

TEST(FitTable, TakesTheFiguresOfTheCatalogueOrOfAProfile) {
  const auto profile_of = [](const FittedTable& fitted) {
    return std::pair(fitted.summary.device(), fitted.summary.profile());
  };
  EXPECT_EQ(profile_of(MustFit(Draw(0, 0), GemmTable(30, "NVIDIA H100 80GB HBM3"))),
            std::pair(std::string("h100-sxm"), std::string("catalogue")));
  v1::FitCalibrationRequest request = Draw(0, 0);
  request.mutable_profile()->set_name("NVIDIA H200");
  EXPECT_EQ(profile_of(MustFit(request, GemmTable(30))), std::pair(std::string("h200-sxm"), std::string("catalogue")));
  *request.mutable_profile() = MadeUp();
  EXPECT_EQ(profile_of(MustFit(request, GemmTable(30))), std::pair(std::string("Made-up"), std::string("file")));
}

TEST(FitTable, RefusesProfilesThatAreNone) {
  const auto error = [](const std::string& file_name, const std::string& data) {
    v1::FitCalibrationRequest request = Draw(0, 0);
    request.mutable_profile()->set_file_name(file_name);
    request.mutable_profile()->set_data(data);
    return std::string(FitTable(request, GemmTable(30), "9.9.9", kNotCancelled).status().message());
  };
  EXPECT_THAT(error("p.json", "{}"), HasSubstr("device profile 'p.json': name: it is missing"));
  EXPECT_THAT(error("p.yaml", "name: X\npeak_bf16_tflops: 1\n"),
              HasSubstr("memory_bandwidth_gbs: 0: not a number above 0"));
  EXPECT_THAT(error("p.yaml", "name: X\npeak_bf16_tflops: -1\n"), HasSubstr("peak_bf16_tflops: -1"));
  EXPECT_THAT(error("p.yaml", "name: X\npeak: 1\n"), HasSubstr("peak"));
  EXPECT_THAT(error("p.yaml", std::string(kProfile) + "kind: tpu\n"), HasSubstr("kind: 'tpu'"));
  v1::FitCalibrationRequest request = Draw(0, 0);
  request.mutable_profile()->set_name("h100-sxn");
  const absl::Status status = FitTable(request, GemmTable(30), "9.9.9", kNotCancelled).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("h100-sxm"));
}

TEST(FitTable, RefusesDrawsThatCannotBe) {
  const auto error = [](v1::FitCalibrationRequest request) {
    return std::string(FitTable(request, GemmTable(30), "9.9.9", kNotCancelled).status().message());
  };
  EXPECT_THAT(error(Draw(31, 0)), HasSubstr("points: 31: the table has 30 rows"));
  EXPECT_THAT(error(Draw(-1, 0)), HasSubstr("points: -1"));
  EXPECT_THAT(error(Draw(5, -1)), HasSubstr("seed: -1"));
  v1::FitCalibrationRequest request = Draw(0, 0);
  request.set_wants_split(true);
  EXPECT_THAT(error(request), HasSubstr("split: without points every row is fitted"));
  request = Draw(0, 0);
  request.set_op("moe");
  EXPECT_THAT(error(request), HasSubstr("table 't.csv': no row of op 'moe'"));
  request.set_op("conv");
  EXPECT_THAT(error(request), HasSubstr("op 'conv': not one of"));
}

TEST(FitTable, EndsWhenTheCallerHasGone) {
  EXPECT_EQ(FitTable(Draw(0, 0), GemmTable(30), "9.9.9", [] { return true; }).status().code(),
            absl::StatusCode::kCancelled);
}

TEST(EvalTable, ScoresTheRowsThatWereNotSeen) {
  const std::string table = GemmTable(300);
  const FittedTable fitted = MustFit(Draw(60, 1), table);
  const v1::EvalCalibrationResponse with_split = MustEval(Judge(), {table, fitted.calibration, fitted.split});
  EXPECT_EQ(with_split.scored_rows(), 240);
  EXPECT_EQ(with_split.seen_rows(), 60);
  EXPECT_FALSE(with_split.is_transfer());
  // The sizes of this table are distinct, so that the calibration itself knows what was drawn.
  const v1::EvalCalibrationResponse without = MustEval(Judge(), {table, fitted.calibration, ""});
  EXPECT_EQ(without.DebugString(), with_split.DebugString());
  const v1::OperatorScore& score = with_split.classes().at("gemm");
  EXPECT_EQ(score.n(), 240);
  EXPECT_GT(score.mape(), 0);
  EXPECT_LE(score.median_ape(), score.p90_ape());
  EXPECT_LE(score.coverage_50(), score.coverage_90());
  EXPECT_LT(score.width_50(), score.width_90());
  EXPECT_TRUE(score.baselines().has_nearest());
  EXPECT_FALSE(score.baselines().has_roofline());  // there is no datasheet
  EXPECT_EQ(with_split.classes().at("gemm_skinny").n() + with_split.classes().at("gemm_wide").n(), 240);
}

TEST(EvalTable, BaselinesTakeTheDeviceProfile) {
  const std::string table = GemmTable(200);
  const FittedTable fitted = MustFit(Draw(60, 1), table);
  v1::EvalCalibrationRequest request = Judge();
  *request.mutable_profile() = MadeUp();
  const v1::EvalCalibrationResponse response = MustEval(request, {table, fitted.calibration, fitted.split});
  EXPECT_FALSE(response.is_transfer());
  const v1::OperatorBaselines& baselines = response.classes().at("gemm").baselines();
  EXPECT_LT(baselines.floor_0_8().mape(), baselines.roofline().mape());  // the law of the table has a floor
  EXPECT_THAT(response.notes(), ElementsAre(HasSubstr("serves the baselines alone")));
}

TEST(EvalTable, AnotherDeviceIsATransferThatHasSeenNothing) {
  const std::string h100 = GemmTable(100, "NVIDIA H100 80GB HBM3");
  const std::string h200 = GemmTable(100, "NVIDIA H200");
  const FittedTable fitted = MustFit(Draw(0, 0), h100);
  const v1::EvalCalibrationResponse response = MustEval(Judge(), {h200, fitted.calibration, ""});
  EXPECT_TRUE(response.is_transfer());
  EXPECT_EQ(response.device(), "h200-sxm");
  EXPECT_EQ(response.calibration_device(), "h100-sxm");
  EXPECT_EQ(response.scored_rows(), 100);
  v1::EvalCalibrationRequest request = Judge();
  request.mutable_profile()->set_name("h200-sxm");
  EXPECT_EQ(MustEval(request, {h200, fitted.calibration, ""}).DebugString(), response.DebugString());
}

TEST(EvalTable, SaysWhereItHasNothingToSay) {
  const std::string table = GemmTable(30);
  const FittedTable fitted = MustFit(Draw(0, 0), table);
  v1::EvalCalibrationResponse response = MustEval(Judge(), {table, fitted.calibration, ""});
  EXPECT_THAT(response.classes(), IsEmpty());
  EXPECT_THAT(response.notes(), Contains(HasSubstr("every row of the table was fitted")));
  const std::string more = table + "moe,Made-up GPU,bf16,,,,,,,,,,,16,2048,512,2,8,balanced,99\n";
  response = MustEval(Judge(), {more, fitted.calibration, ""});
  EXPECT_EQ(response.classes().at("moe").n(), 1);
  EXPECT_FALSE(response.classes().at("moe").baselines().has_nearest());
  EXPECT_THAT(response.notes(), Contains(HasSubstr("moe: the calibration has no row of it")));
}

TEST(EvalTable, ErrorsNameTheFile) {
  const std::string table = GemmTable(30);
  const FittedTable fitted = MustFit(Draw(10, 0), table);
  const auto error = [](const v1::EvalCalibrationRequest& request, const UploadedFiles& files) {
    return std::string(EvalTable(request, files, kNotCancelled).status().message());
  };
  EXPECT_THAT(error(Judge(), {"", fitted.calibration, ""}), HasSubstr("table 't.csv': it is empty"));
  EXPECT_THAT(error(Judge(), {table, table, ""}), HasSubstr("calibration 'c.json': no JSON object"));
  EXPECT_THAT(error(Judge(), {table, fitted.split, ""}), HasSubstr("calibration 'c.json': kind"));
  v1::EvalCalibrationRequest request = Judge();
  request.set_split_file_name("s.json");
  EXPECT_THAT(error(request, {table, fitted.calibration, ""}), HasSubstr("split 's.json': no JSON object"));
  EXPECT_THAT(error(request, {GemmTable(5), fitted.calibration, fitted.split}), HasSubstr("split 's.json': its row"));
}

TEST(EvalTable, StaleLawsAreRefusedUnlessTheyMayBeFittedAnew) {
  const std::string table = GemmTable(100);
  const FittedTable fitted = MustFit(Draw(50, 0), table);
  LawFile file = *ReadLawFile(fitted.calibration);
  file.law_revision = kLawRevision + 1;
  file.model.fits.clear();
  const UploadedFiles files = {table, WriteLawFile(file), ""};
  const absl::Status status = EvalTable(Judge(), files, kNotCancelled).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("stale"));
  v1::EvalCalibrationRequest request = Judge();
  request.set_allow_stale(true);
  const v1::EvalCalibrationResponse response = MustEval(request, files);
  EXPECT_EQ(response.classes().at("gemm").mape(),
            MustEval(Judge(), {table, fitted.calibration, ""}).classes().at("gemm").mape());
  EXPECT_THAT(response.notes(), ElementsAre(HasSubstr("stale")));
}

// One sample, and rows whose errors can be worked out by hand: a size that was measured is predicted as measured.
TEST(ScoreRows, FiguresAreWhatTheirNamesSay) {
  const analytic::Sample sample = {analytic::GemmSize{64, 64, 64}, analytic::Precision::kBf16, 1000};
  const analytic::Device device = *FindByAnyName("h100-sxm");
  const analytic::LawModel model = *analytic::FitLaws(device, {sample});
  std::vector<analytic::Sample> rows(4, sample);  // off by +1, 0, -1/2, -3/4
  rows[0].time_ns = 500;
  rows[2].time_ns = 2000;
  rows[3].time_ns = 4000;
  const auto scores = *ScoreRows(model, rows, {&device, nullptr, kNotCancelled});
  const v1::OperatorScore& score = scores.at("gemm");
  EXPECT_DOUBLE_EQ(score.mape(), 2.25 / 4);
  EXPECT_DOUBLE_EQ(score.bias(), -0.25 / 4);
  EXPECT_DOUBLE_EQ(score.median_ape(), 0.625);
  EXPECT_DOUBLE_EQ(score.p90_ape(), 0.75 + 0.7 * 0.25);
  EXPECT_DOUBLE_EQ(score.wape(), 4500.0 / 7500);
  EXPECT_DOUBLE_EQ(score.baselines().nearest().mape(), 2.25 / 4);
}

}  // namespace
}  // namespace dsocr::calibrate
