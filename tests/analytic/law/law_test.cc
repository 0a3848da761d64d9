#include "analytic/law/law.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "analytic/law/correction.h"
#include "analytic/law/linear.h"
#include "analytic/law/work.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dsocr::analytic {
namespace {

using ::testing::HasSubstr;

constexpr Precision kFormat = Precision::kBf16;

Device Gpu() { return *FindDevice("h100-sxm"); }

// A device that does as its datasheet says, but for `slow` and a ripple that no physics explains.
double TrueNs(const GemmSize& size, double slow = 1) {
  const double ripple = 1 + 0.05 * std::sin(std::log2(static_cast<double>(size.n)) + static_cast<double>(size.k % 7));
  return slow * ripple * (3000 + RooflineNs(Gpu(), size, kFormat) / 0.75);
}

std::vector<Sample> Gemms(size_t count) {
  std::vector<Sample> samples;
  for (int64_t n : {256, 768, 1280, 2048, 3584, 6848, 12288}) {
    for (int64_t k : {192, 640, 1280, 4096, 9216}) {
      for (int64_t m : {1, 8, 48, 273, 1024, 4096}) {
        const GemmSize size{m, n, k};
        samples.push_back({.size = size, .precision = kFormat, .time_ns = TrueNs(size)});
      }
    }
  }
  // Every so many, so that few rows still lie far apart.
  std::vector<Sample> chosen;
  for (size_t i = 0; i < count; ++i) {
    chosen.push_back(samples[i * samples.size() / count]);
  }
  return chosen;
}

std::vector<Sample> OfAllKinds() {
  std::vector<Sample> samples = Gemms(40);
  for (int64_t seq : {64, 256, 1024, 4096}) {
    samples.push_back(
        {AttentionSize{1, seq, seq, 12, 12, 64, false}, kFormat, 12e3 + 0.01 * static_cast<double>(seq * seq)});
    samples.push_back(
        {AttentionSize{1, seq, seq, 10, 10, 128, true}, kFormat, 11e3 + 0.006 * static_cast<double>(seq * seq)});
    samples.push_back({AttentionSize{1, 1, seq, 10, 10, 128, true}, kFormat, 9e3 + static_cast<double>(seq)});
    samples.push_back({MoeSize{seq, 1280, 896, 6, 64, "balanced"}, kFormat, 30e3 + 150 * static_cast<double>(seq)});
  }
  return samples;
}

Estimate Predict(const LawModel& model, const OperatorSize& size) {
  return PredictOperator(model, model.device, size, kFormat);
}

TEST(FitLaws, GivesTheSameBitsForRowsInAnyOrder) {
  std::vector<Sample> samples = OfAllKinds();
  const LawModel model = *FitLaws(Gpu(), samples);
  std::reverse(samples.begin(), samples.end());
  std::rotate(samples.begin(), samples.begin() + 7, samples.end());
  EXPECT_EQ(FitLaws(Gpu(), samples)->fits, model.fits);
}

TEST(FitLaws, TakesTheMedianOfRowsOfOneSize) {
  const GemmSize size{16, 1280, 1280};
  const LawModel model = *FitLaws(Gpu(), {{size, kFormat, 9000}, {size, kFormat, 5000}, {size, kFormat, 5200}});
  ASSERT_EQ(model.samples.size(), 1);
  EXPECT_EQ(Predict(model, size).ns, 5200);
}

TEST(FitLaws, RefusesABadRowByItsNumber) {
  const Sample good{GemmSize{1, 1280, 1280}, kFormat, 4000};
  const auto refusal = [&good](const Sample& bad) {
    const absl::Status status = FitLaws(Gpu(), {good, bad}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("samples[1]: "));
    return std::string(status.message());
  };
  EXPECT_THAT(refusal({GemmSize{0, 1280, 1280}, kFormat, 4000}), HasSubstr("size that is not positive"));
  EXPECT_THAT(refusal({GemmSize{1, 1280, 1280}, kFormat, 0}), HasSubstr("not a positive time"));
  EXPECT_THAT(refusal({GemmSize{1, 1280, 1280}, kFormat, std::numeric_limits<double>::quiet_NaN()}),
              HasSubstr("not a positive time"));
  EXPECT_THAT(refusal({MoeSize{1, 1280, 896, 6, 64, "even"}, kFormat, 4000}), HasSubstr("no routing 'even'"));
  EXPECT_THAT(refusal({MoeSize{1, 1280, 896, 65, 64, "balanced"}, kFormat, 4000}), HasSubstr("topk 65 of 64"));
  EXPECT_THAT(refusal({GemmSize{8192, 8192, 8192}, kFormat, 100e3}), HasSubstr("times the peak of h100-sxm"));
}

TEST(FitLaws, TakesAnyNumberOfRows) {
  for (size_t count = 0; count <= 20; ++count) {
    const LawModel model = *FitLaws(Gpu(), Gemms(count));
    for (const Sample& sample : Gemms(210)) {
      const Estimate estimate = Predict(model, sample.size);
      ASSERT_TRUE(std::isfinite(estimate.high_90_ns)) << count;
      ASSERT_GT(estimate.low_90_ns, 0) << count;
      ASSERT_LT(estimate.ns / sample.time_ns, 3) << count;
      ASSERT_GT(estimate.ns / sample.time_ns, 1 / 3.0) << count;
    }
  }
}

TEST(PredictOperator, ReturnsWhatWasMeasured) {
  const std::vector<Sample> samples = OfAllKinds();
  const LawModel model = *FitLaws(Gpu(), samples);
  for (const Sample& sample : samples) {
    const Estimate estimate = Predict(model, sample.size);
    EXPECT_EQ(estimate.ns, sample.time_ns);
    EXPECT_EQ(estimate.provenance, Provenance::kExact);
    EXPECT_EQ(estimate.distance, 0);
    EXPECT_EQ(model.samples[static_cast<size_t>(estimate.nearest)].size, sample.size);
  }
}

TEST(PredictOperator, NestsItsIntervals) {
  const LawModel model = *FitLaws(Gpu(), Gemms(30));
  for (const Sample& sample : Gemms(210)) {
    const Estimate e = Predict(model, sample.size);
    EXPECT_LE(e.low_90_ns, e.low_50_ns);
    EXPECT_LT(e.low_50_ns, e.ns);
    EXPECT_LT(e.ns, e.high_50_ns);
    EXPECT_LE(e.high_50_ns, e.high_90_ns);
  }
}

TEST(PredictOperator, LearnsADeviceThatIsSlowerThanItsDatasheet) {
  std::vector<Sample> samples = Gemms(60);
  for (Sample& sample : samples) {
    sample.time_ns *= 1.5;
  }
  const LawModel model = *FitLaws(Gpu(), samples);
  const GemmSize unseen{300, 5120, 2560};
  EXPECT_NEAR(Predict(model, unseen).ns / TrueNs(unseen, 1.5), 1, 0.12);
  EXPECT_EQ(Predict(model, unseen).provenance, Provenance::kInterpolated);
}

TEST(PredictOperator, HoldsTheEfficiencyAboveTheLargestAndTheFloorBelowTheSmallest) {
  const LawModel model = *FitLaws(Gpu(), Gemms(210));
  const GemmSize huge{1 << 17, 32768, 32768};
  const Estimate above = Predict(model, huge);
  EXPECT_EQ(above.provenance, Provenance::kExtrapolated);
  EXPECT_EQ(above.bound, Bound::kCompute);
  EXPECT_NEAR(above.ns / TrueNs(huge), 1, 0.15);
  const Estimate below = Predict(model, GemmSize{1, 16, 16});
  EXPECT_EQ(below.provenance, Provenance::kExtrapolated);
  EXPECT_EQ(below.bound, Bound::kLatency);
  EXPECT_NEAR(below.ns, 3000, 600);
  EXPECT_GT(above.high_90_ns / above.ns,
            Predict(model, GemmSize{300, 5120, 2560}).high_90_ns / Predict(model, GemmSize{300, 5120, 2560}).ns);
}

TEST(PredictOperator, TakesLongerForMoreWork) {
  const LawModel model = *FitLaws(Gpu(), Gemms(100));
  for (int64_t n = 64; n <= 32768; n *= 4) {
    double previous = 0;
    for (int64_t m = 64; m <= 65536; m *= 8) {
      const double ns = Predict(model, GemmSize{m, n, 4096}).ns;
      EXPECT_GT(ns, previous) << m << " x " << n;
      previous = ns;
    }
  }
}

TEST(PredictOperator, NeverBeatsThePeakOfTheDevice) {
  std::vector<Sample> samples = Gemms(60);
  const LawModel model = *FitLaws(Gpu(), samples);
  const GemmSize huge{1 << 20, 32768, 32768};
  const double boost = Gpu().boost_clock_hz / Gpu().tensor_clock_hz;
  EXPECT_GE(Predict(model, huge).ns * boost, RooflineNs(Gpu(), huge, kFormat));
}

TEST(PredictOperator, KnowsADatasheetWithoutRows) {
  const LawModel model = *FitLaws(Gpu(), {});
  const Estimate row = Predict(model, GemmSize{1, 8192, 16384});
  EXPECT_EQ(row.provenance, Provenance::kDatasheet);
  EXPECT_EQ(row.bound, Bound::kMemory);
  EXPECT_EQ(row.nearest, -1);
  EXPECT_EQ(Predict(model, GemmSize{4096, 4096, 4096}).bound, Bound::kCompute);
  EXPECT_EQ(Predict(model, GemmSize{1, 64, 64}).bound, Bound::kLatency);
}

TEST(PredictOperator, CarriesALawToAnotherDevice) {
  const Device h200 = *FindDevice("h200-sxm"), a100 = *FindDevice("a100-sxm-80gb");
  const LawModel model = *FitLaws(Gpu(), Gemms(100));
  const GemmSize stream{1, 12288, 9216}, square{4096, 6848, 4096};
  const Estimate near = PredictOperator(model, h200, stream, kFormat);
  EXPECT_EQ(near.provenance, Provenance::kTransferred);
  EXPECT_NEAR(near.ns / Predict(model, stream).ns, 3350.0 / 4800, 0.06);  // of one generation: memory alone is faster
  EXPECT_NEAR(PredictOperator(model, h200, square, kFormat).ns / Predict(model, square).ns, 1, 0.03);
  const Estimate far = PredictOperator(model, a100, square, kFormat);
  EXPECT_NEAR(far.ns / Predict(model, square).ns, 989.4 / 312, 0.5);
  EXPECT_GT(far.high_90_ns / far.ns, near.high_90_ns / near.ns);
}

TEST(EstimateDevice, ReadsPeaksOffTheRows) {
  const Device device = EstimateDevice("mine", Gemms(210));
  EXPECT_EQ(device.name, "mine");
  EXPECT_NEAR(device.matrix_bf16_flops_per_s, Gpu().matrix_bf16_flops_per_s, 0.25 * Gpu().matrix_bf16_flops_per_s);
  EXPECT_NEAR(device.memory_bytes_per_s, Gpu().memory_bytes_per_s, 0.25 * Gpu().memory_bytes_per_s);
  EXPECT_NEAR(device.min_kernel_ns, 3000, 300);
  EXPECT_TRUE(FitLaws(device, Gemms(210)).ok());
}

TEST(DistinctExperts, FollowTheRouting) {
  const auto distinct = [](int64_t tokens, const char* routing) {
    return DistinctExperts(MoeSize{tokens, 1280, 896, 6, 64, routing});
  };
  EXPECT_EQ(distinct(1, "balanced"), 6);
  EXPECT_EQ(distinct(8, "balanced"), 48);
  EXPECT_EQ(distinct(100, "balanced"), 64);
  EXPECT_NEAR(distinct(1, "power_law_1.2"), 6, 1.5);
  EXPECT_LT(distinct(16, "power_law_1.2"), distinct(16, "power_law_0.5"));
  EXPECT_LE(distinct(1 << 20, "power_law_1.2"), 64);
  EXPECT_FALSE(IsRouting("power_law_"));
  EXPECT_FALSE(IsRouting("power_law_-1"));
}

TEST(Cholesky, SolvesAndInverts) {
  const std::vector<double> matrix = {4, 2, 1, 2, 5, 3, 1, 3, 6};
  const Cholesky factor(matrix, 3);
  std::vector<double> x = {7, 10, 10};
  factor.Solve(x.data());
  EXPECT_NEAR(x[0], 1, 1e-12);
  EXPECT_NEAR(x[1], 1, 1e-12);
  EXPECT_NEAR(x[2], 1, 1e-12);
  const std::vector<double> columns = factor.InverseLowerColumns();
  EXPECT_NEAR(Dot(&columns[0], &columns[0], 3), 21.0 / 67, 1e-12);  // the cofactor over the determinant
  EXPECT_FALSE(Cholesky({1, 2, 2, 1}, 2).ok());
}

}  // namespace
}  // namespace dsocr::analytic
