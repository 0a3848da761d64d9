// Laws against public measured tables, on shapes that they have not seen. Few splits:
// tests/benchmark/operator_laws_study prints the whole study, whose figures are in docs/operator-laws.md.
#include "gtest/gtest.h"
#include "tests/analytic/law/op_table.h"

namespace dsocr::analytic {
namespace {

const std::vector<Sample>& H100Rows() {
  static const auto& rows = *new std::vector<Sample>(ReadOpTable("h100_sxm"));
  return rows;
}
const std::vector<Sample>& A100Rows() {
  static const auto& rows = *new std::vector<Sample>(ReadOpTable("a100_sxm"));
  return rows;
}

const std::vector<LawClass> kGemms = {LawClass::kGemm, LawClass::kSkinnyGemm};

TEST(LawFloors, SixtyGemmRowsOfAnH100) {
  const Accuracy accuracy = Study(*FindDevice("h100-sxm"), OfClasses(H100Rows(), kGemms), 60, 0.5, 10);
  EXPECT_LE(accuracy.mape, 0.08);
  EXPECT_GE(accuracy.cover_90, 0.87);
  EXPECT_LE(accuracy.cover_90, 0.94);
}

TEST(LawFloors, SixHundredGemmRowsOfAnH100) {
  const Accuracy accuracy = Study(*FindDevice("h100-sxm"), OfClasses(H100Rows(), kGemms), 600, 0.5, 3);
  EXPECT_LE(accuracy.mape, 0.055);
  EXPECT_GE(accuracy.cover_90, 0.87);
  EXPECT_LE(accuracy.cover_90, 0.94);
}

TEST(LawFloors, GemmRowsOfAnA100) {
  const std::vector<Sample> rows = OfClasses(A100Rows(), kGemms);
  EXPECT_LE(Study(*FindDevice("a100-sxm-80gb"), rows, 60, 0.5, 10).mape, 0.10);
  EXPECT_LE(Study(*FindDevice("a100-sxm-80gb"), rows, 600, 0.5, 2).mape, 0.08);
}

TEST(LawFloors, AHundredAttentionRows) {
  const Device h100 = *FindDevice("h100-sxm");
  EXPECT_LE(Study(h100, OfClasses(H100Rows(), {LawClass::kEncoderAttention}), 100, 0.5, 5).mape, 0.12);
  EXPECT_LE(Study(h100, OfClasses(H100Rows(), {LawClass::kPrefillAttention}), 100, 0.5, 5).mape, 0.12);
}

TEST(LawFloors, ExpertsOfAModelThatWasLeftOut) {
  EXPECT_LE(LeaveOneModelOut(*FindDevice("a100-sxm-80gb"), OfClasses(A100Rows(), {LawClass::kMoe})).mape, 0.15);
}

}  // namespace
}  // namespace dsocr::analytic
