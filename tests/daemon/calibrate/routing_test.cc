#include "daemon/calibrate/routing.h"

#include <string>

#include "daemon/calibrate/routing_json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/analytic/models.h"
#include "tests/analytic/routings.h"

namespace dsocr::calibrate {
namespace {

using ::testing::HasSubstr;

v1::Weights Seed(int64_t seed) {
  v1::Weights weights;
  weights.set_random_seed(seed);
  return weights;
}

v1::Weights Directory(const std::string& path, const std::string& revision = "") {
  v1::Weights weights;
  weights.set_path(path);
  if (!revision.empty()) {
    weights.set_revision(revision);
  }
  return weights;
}

RecordedRouting Recorded(const v1::Weights& weights) {
  return {.routing = analytic::UnevenRouting(analytic::TinyA().decoder, 30, 4), .weights = weights};
}

// Whether a request of `weights` takes the routing.
bool IsUsed(const RecordedRouting& recorded, const v1::Weights& weights) {
  analytic::ModelSpec model = analytic::TinyA();
  const std::string note = UseRouting(recorded, weights, &model);
  EXPECT_THAT(note, HasSubstr("run r-1"));
  EXPECT_EQ(model.decoder.routing == nullptr, note.ends_with("of other weights")) << note;
  return model.decoder.routing != nullptr;
}

TEST(UseRouting, IsForTheWeightsThatRoutedSo) {
  EXPECT_TRUE(IsUsed(Recorded(Seed(0)), Seed(0)));
  EXPECT_FALSE(IsUsed(Recorded(Seed(0)), Seed(1)));
  EXPECT_FALSE(IsUsed(Recorded(Seed(0)), Directory("/w")));
  EXPECT_FALSE(IsUsed(Recorded(Directory("/w")), Seed(0)));
  EXPECT_TRUE(IsUsed(Recorded(Directory("/w")), Directory("/w")));
  EXPECT_FALSE(IsUsed(Recorded(Directory("/w")), Directory("/v")));
  EXPECT_TRUE(IsUsed(Recorded(Directory("/w", "1a")), Directory("/v", "1a")));
  EXPECT_FALSE(IsUsed(Recorded(Directory("/w", "1a")), Directory("/w", "1b")));
  // A request that names no weights means real ones.
  EXPECT_TRUE(IsUsed(Recorded(Directory("/w")), v1::Weights()));
  EXPECT_FALSE(IsUsed(Recorded(Seed(0)), v1::Weights()));
}

TEST(UseRouting, IsForTheModelsExpertsAlone) {
  analytic::ModelSpec other = analytic::TinyB();
  EXPECT_EQ(UseRouting(Recorded(Seed(0)), Seed(0), &other),
            "the routing of run r-1 is not used: it is of other experts");
  EXPECT_EQ(other.decoder.routing, nullptr);
}

TEST(UseRouting, WithoutOneTokensPickEvenly) {
  analytic::ModelSpec model = analytic::TinyA();
  model.decoder.routing = analytic::UnevenRouting(model.decoder, 30, 4);
  EXPECT_EQ(UseRouting(std::nullopt, Seed(0), &model), "");
  EXPECT_EQ(model.decoder.routing, nullptr);
}

v1::AnalyticModelReport ReportWith(const analytic::Routing& routing) {
  v1::AnalyticModelReport report;
  report.set_report_id("r-1");
  *report.mutable_provenance()->mutable_weights() = Seed(3);
  for (const auto& [stage, module_id] : {std::pair(&routing.prefill, "prefill/layer[1-2]/moe/experts"),
                                         std::pair(&routing.decode, "decode/layer[1-2]/moe/experts")}) {
    v1::ModuleMeasurement& measurement = *report.add_module_measurements();
    measurement.set_module_id(module_id);
    for (const analytic::LayerPicks& layer : stage->layers()) {
      v1::ExpertPicks& picks = *measurement.add_expert_picks();
      picks.set_layer(layer.layer);
      picks.mutable_picks()->Assign(layer.picks.begin(), layer.picks.end());
    }
  }
  return report;
}

TEST(RoutingOf, AReportSurvivesTheCalibrationsDocument) {
  const analytic::ModelSpec model = analytic::TinyA();
  const auto routing = analytic::UnevenRouting(model.decoder, 30, 4);
  const auto recorded = RoutingOf(ReportWith(*routing), model);
  ASSERT_TRUE(recorded.ok()) << recorded.status();
  ASSERT_TRUE(*recorded);
  const absl::StatusOr<RecordedRouting> read = ParseRouting(nlohmann::json::parse(RoutingJson(**recorded).dump()));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->weights.random_seed(), 3);
  EXPECT_EQ(read->routing->source, "run r-1");
  EXPECT_TRUE(read->routing->Fits(model.decoder));
  EXPECT_EQ(RoutingJson(*read), RoutingJson(**recorded));
  for (const int64_t tokens : {1, 2, 7, 30, 99}) {
    EXPECT_EQ(read->routing->prefill.DistinctExperts(tokens), routing->prefill.DistinctExperts(tokens));
    EXPECT_EQ(read->routing->decode.DistinctExperts(tokens), routing->decode.DistinctExperts(tokens));
  }
}

TEST(RoutingOf, AReportWithoutPicksHasNone) {
  const auto recorded = RoutingOf(v1::AnalyticModelReport(), analytic::TinyA());
  ASSERT_TRUE(recorded.ok());
  EXPECT_FALSE(*recorded);
}

TEST(RoutingOf, PicksThatNoRunCanHaveAreRefused) {
  const analytic::ModelSpec model = analytic::TinyA();
  v1::AnalyticModelReport report = ReportWith(*analytic::UnevenRouting(model.decoder, 30, 4));
  report.mutable_module_measurements(0)->mutable_expert_picks(1)->set_picks(0, -5);
  const absl::Status status = RoutingOf(report, model).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("report 'r-1': routing of layer 2: -5 picks"));
}

}  // namespace
}  // namespace dsocr::calibrate
