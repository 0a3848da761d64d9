// Fits to tables that others published (../shared/reference/op_tables): registered where they are at hand.
#include <fstream>
#include <iterator>
#include <string>

#include "daemon/calibrate/fit.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dsocr::calibrate {
namespace {

using ::testing::Contains;
using ::testing::Key;

const auto kNotCancelled = [] { return false; };

TEST(PublishedTables, AFewRowsOfTheH100PredictTheOthers) {
  std::ifstream stream(std::string(DSOCR_SHARED_DIR) + "/reference/op_tables/h100_sxm.csv.gz", std::ios::binary);
  const std::string table{std::istreambuf_iterator<char>(stream), {}};
  v1::FitCalibrationRequest draw;
  draw.set_points(120);
  draw.set_seed(1);
  draw.set_wants_split(true);
  const auto fitted = FitTable(draw, table, "9.9.9", kNotCancelled);
  ASSERT_TRUE(fitted.ok()) << fitted.status();
  EXPECT_EQ(fitted->summary.device(), "h100-sxm");
  const auto response = EvalTable({}, {table, fitted->calibration, fitted->split}, kNotCancelled);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->table_rows(), 38'640);
  EXPECT_EQ(response->scored_rows(), 38'520);
  for (const char* name : {"gemm", "gemm_skinny", "attention", "attention_encoder", "attention_prefill", "moe"}) {
    EXPECT_THAT(response->classes(), Contains(Key(name)));
  }
}

}  // namespace
}  // namespace dsocr::calibrate
