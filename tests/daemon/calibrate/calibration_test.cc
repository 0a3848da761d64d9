#include "daemon/calibrate/calibration.h"

#include <memory>
#include <string>
#include <utility>

#include "analytic/law/device_laws.h"
#include "daemon/calibrate/law_file.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/scratch_directory.h"

namespace dsocr::calibrate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view kDocument =
    R"({"device": {"name": "X", "kind": "cpu", "driver": "", "cores": 2}, "dtype": "bf16", "seconds": 1.5, "points": [
        {"category": "gemm", "name": "a", "flops": 1000000000, "vector_flops": 0, "bytes": 1000000, "launches": 1, "time_ns": 5000000}]})";

TEST(ParseCalibrationTest, ReadsTheDocumentOfTheProtocol) {
  const absl::StatusOr<Calibration> calibration = ParseCalibration(kDocument);
  ASSERT_TRUE(calibration.ok()) << calibration.status();
  EXPECT_EQ(calibration->dtype, "bf16");
  ASSERT_EQ(calibration->points.size(), 1u);
  EXPECT_EQ(calibration->points[0].category_id, "gemm");
  EXPECT_EQ(calibration->points[0].io_bytes, 1'000'000);
  EXPECT_EQ(calibration->points[0].time_ns, 5e6);
}

std::string WithSize(std::string_view size) {
  return fmt::format(
      R"({{"dtype": "bf16", "points": [{{"category": "gemm", "flops": 1, "vector_flops": 0, "bytes": 1, )"
      R"("launches": 1, "time_ns": 1.5, "size": {}}}]}})",
      size);
}

std::string WithHost(std::string_view host) {
  return fmt::format(
      R"({{"dtype": "bf16", "points": [{{"category": "gemm", "flops": 1, "vector_flops": 0, "bytes": 1, )"
      R"("launches": 1, "time_ns": 1.5}}], "host": {}}})",
      host);
}

constexpr std::string_view kFourExperts =
    R"({{"source": "run r-1", "weights": {{"random_seed": 7}}, "experts_per_token": 2,)"
    R"( "prefill": [{{"layer": 1, "picks": {}}}], "decode": []}})";

std::string WithRouting(std::string_view routing) {
  return fmt::format(
      R"({{"dtype": "bf16", "points": [{{"category": "gemm", "flops": 1, "vector_flops": 0, "bytes": 1, )"
      R"("launches": 1, "time_ns": 1.5}}], "routing": {}}})",
      routing);
}
std::string WithRouting(std::string_view routing, std::string_view picks) {
  return WithRouting(fmt::format(fmt::runtime(routing), picks));
}

TEST(ParseCalibrationTest, ARoutingStandsBesideThePoints) {
  EXPECT_FALSE(ParseCalibration(kDocument)->routing);
  const absl::StatusOr<Calibration> calibration = ParseCalibration(WithRouting(kFourExperts, "[2, 2, 1, 1]"));
  ASSERT_TRUE(calibration.ok()) << calibration.status();
  ASSERT_TRUE(calibration->routing);
  EXPECT_EQ(calibration->routing->weights.random_seed(), 7);
  const analytic::Routing& routing = *calibration->routing->routing;
  EXPECT_EQ(routing.source, "run r-1");
  EXPECT_EQ(routing.prefill.tokens(), 3);
  EXPECT_EQ(routing.prefill.layers()[0].layer, 1);
  EXPECT_THAT(routing.prefill.layers()[0].picks, ElementsAre(2, 2, 1, 1));
  EXPECT_EQ(routing.decode.tokens(), 0);
}

TEST(ParseCalibrationTest, SizesArePartOfAPointWhereItHasThem) {
  const auto size_of = [](std::string_view size) { return ParseCalibration(WithSize(size))->points[0].size; };
  EXPECT_EQ(ParseCalibration(kDocument)->points[0].size, std::nullopt);
  EXPECT_EQ(size_of(R"({"m": 1, "n": 2, "k": 3, "count": 1})"), analytic::OperatorSize(analytic::GemmSize{1, 2, 3}));
  EXPECT_EQ(size_of(R"({"m": 1, "n": 2, "k": 3, "count": 4})"), std::nullopt);  // a batch: the work says it all
  constexpr std::string_view kAttention =
      R"({"batch": 1, "seq_q": 2, "seq_kv": 3, "heads": 4, "kv_heads": 5, "head_dim": 6, "causal": true})";
  EXPECT_EQ(size_of(kAttention), analytic::OperatorSize(analytic::AttentionSize{1, 2, 3, 4, 5, 6, true}));
}

TEST(ParseCalibrationTest, HostileDocumentsAreErrorsThatNameThePath) {
  const std::pair<std::string, std::string> cases[] = {
      {"", "no JSON object"},
      {"[1]", "no JSON object"},
      {R"({"dtype": "fp8", "points": [{}]})", "dtype"},
      {R"({"dtype": "bf16", "points": []})", "points"},
      {R"({"dtype": "bf16", "points": [7]})", "points[0]"},
      {R"({"dtype": "bf16", "points": [{"category": 1}]})", "points[0].category"},
      {R"({"dtype": "bf16", "points": [{"category": "gemm", "flops": -1}]})", "points[0].flops"},
      {R"({"dtype": "bf16", "points": [{"category": "gemm", "flops": 1, "vector_flops": 0, "bytes": 1, "launches": 1, "time_ns": 0}]})",
       "points[0].time_ns"},
      {std::string(100'000, '['), "no JSON object"},
      {R"({"dtype": "bf16", "pionts": [], "points": [{}]})", "pionts"},
      {WithRouting("7"), "routing: not an object"},
      {WithRouting("{}"), "routing.source: missing"},
      {WithRouting(
           R"({"source": "run r-1", "weights": {"seed": 1}, "experts_per_token": 1, "prefill": [], "decode": []})"),
       "routing.weights.seed: unknown key"},
      {WithRouting(kFourExperts, "[2, 1, 1, -1]"), "routing.prefill[0].picks: not a list of counts"},
      {WithRouting(kFourExperts, "[2, 1, 1, 1e3]"), "routing.prefill[0].picks: not a list of counts"},
      {WithRouting(kFourExperts, "[2, 1, 1, 18446744073709551615]"), "routing.prefill[0].picks: not a list of counts"},
      {WithRouting(kFourExperts, "[2, 1, 1, 1]"), "routing of layer 1: 5 picks"},
      {WithRouting(kFourExperts, "[4, 0, 0, 0]"), "routing of layer 1: 4 picks of an expert by 2 tokens"},
      {WithRouting(kFourExperts, R"({"0": 1})"), "routing.prefill[0].picks: not a list"},
      {WithHost("7"), "host: not an object"},
      {WithHost("{}"), "host.launch_ns: missing"},
      {WithHost(R"({"launch_ns": 0, "wait_ns": 1})"), "host.launch_ns"},
      {WithHost(R"({"launch_ns": 1, "wait_ns": -1})"), "host.wait_ns"},
      {WithSize("[]"), "points[0].size"},
      {WithSize("{}"), "points[0].size.batch"},
      {WithSize(R"({"m": 0, "n": 2, "k": 3, "count": 4})"), "points[0].size.m"},
      {WithSize(R"({"m": 1, "n": 4294967296, "k": 3, "count": 4})"), "points[0].size.n"},
      {WithSize(R"({"m": 1, "n": 2, "k": 3, "count": 4, "causal": true})"), "points[0].size.causal"},
      {WithSize(R"({"batch": 1, "seq_q": 2, "seq_kv": 3, "heads": 4, "kv_heads": 5, "head_dim": 6, "causal": 1})"),
       "points[0].size.causal"},
  };
  for (const auto& [text, named] : cases) {
    const absl::Status status = ParseCalibration(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text.substr(0, 80);
    EXPECT_THAT(std::string(status.message()), HasSubstr(named));
  }
}

class ApplyCalibrationTest : public ::testing::Test {
 protected:
  absl::StatusOr<analytic::Device> Apply(const std::string& request) {
    absl::StatusOr<Calibrated> calibrated =
        ApplyCalibration(analytic::DeviceCatalogue().front(), request, key_, store_.get());
    return calibrated.ok() ? absl::StatusOr<analytic::Device>(std::move(calibrated->device)) : calibrated.status();
  }

  const ScratchDirectory directory_;
  const std::unique_ptr<store::Store> store_ = *store::Store::Open("sqlite:" + (directory_ / "db").string());
  const store::CalibrationKey key_{.device_name = "X", .dtype = "bf16", .driver = "", .tool_version = "1"};
};

TEST_F(ApplyCalibrationTest, EmptyIsTheDatasheetUntilSomethingWasMeasured) {
  EXPECT_EQ(Apply("")->calibration_id, "");
  const absl::StatusOr<std::string> id = KeepCalibration(std::string(kDocument), key_, store_.get());
  ASSERT_TRUE(id.ok()) << id.status();
  EXPECT_EQ(Apply("")->calibration_id, *id);
  EXPECT_EQ(Apply(*id)->calibration_id, *id);
  EXPECT_EQ(Apply("none")->calibration_id, "");
}

TEST_F(ApplyCalibrationTest, FileIsReadByItsPath) {
  const std::string path = directory_.Write("c.json", kDocument);
  EXPECT_EQ(Apply(path)->calibration_id, path);
}

TEST_F(ApplyCalibrationTest, HostTimesTakeThePlaceOfThoseOfAnyHost) {
  const std::string path = directory_.Write("c.json", WithHost(R"({"launch_ns": 3100, "wait_ns": 6500})"));
  EXPECT_EQ(Apply(path)->launch_ns, 3100);
  EXPECT_EQ(Apply(path)->sync_ns, 6500 - analytic::kQueueLatencyNs);
  directory_.Write("c.json", WithHost(R"({"launch_ns": 3100, "wait_ns": 1500})"));
  EXPECT_EQ(Apply(path)->sync_ns, 0);
}

TEST_F(ApplyCalibrationTest, UnknownIdOrFileIsNotFound) {
  EXPECT_EQ(Apply("c-000000000000").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Apply(directory_ / "none.json").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ApplyCalibrationTest, LawsOfATableAreTransferredToTheDeviceAskedFor) {
  const analytic::Device h100 = *analytic::FindDevice("h100-sxm");
  LawFile file{.tool_version = "1", .table_device = "X", .rows = 1};
  file.model = *analytic::FitLaws(h100, {{analytic::GemmSize{64, 1280, 1280}, analytic::Precision::kBf16, 4000}});
  file.rows_sha256 = std::string(64, '0');
  const std::string path = directory_.Write("laws.json", WriteLawFile(file));
  const auto device = Apply(path);
  ASSERT_TRUE(device.ok()) << device.status();
  EXPECT_EQ(device->calibration_id, path);
  ASSERT_NE(device->laws, nullptr);
  EXPECT_EQ(device->laws->model.device.name, "h100-sxm");
  EXPECT_EQ(device->laws->device.name, analytic::DeviceCatalogue().front().name);

  file.law_revision = kLawRevision + 1;
  directory_.Write("laws.json", WriteLawFile(file));
  EXPECT_EQ(Apply(path).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(Apply(path).status().message()), HasSubstr("fit the table again"));
}

TEST_F(ApplyCalibrationTest, AnotherDtypeIsInvalid) {
  store::CalibrationKey fp32 = key_;
  fp32.dtype = "fp32";
  EXPECT_FALSE(KeepCalibration(std::string(kDocument), fp32, store_.get()).ok());
}

}  // namespace
}  // namespace dsocr::calibrate
