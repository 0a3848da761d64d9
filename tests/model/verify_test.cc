#include "model/verify.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "model/error.h"
#include "model/weights/safetensors.h"
#include "tests/model/tiny_model.h"
#include "tests/scratch_directory.h"

namespace dsocr::model {
namespace {

class VerifyFixtureTest : public ::testing::TestWithParam<const char*> {};

TEST_P(VerifyFixtureTest, EveryTensorAgreesWithTheReference) {
  const VerifyReport report = Verify(FixtureDir(GetParam()));
  EXPECT_TRUE(report.passed);
  EXPECT_TRUE(report.tokens_equal);
  EXPECT_TRUE(report.experts_equal);
  EXPECT_GE(report.tensors.size(), 48u);
  for (const TensorCheck& check : report.tensors) {
    EXPECT_TRUE(check.passed) << check.name << " differs by " << check.max_abs_diff.value_or(-1);
  }
}

TEST_P(VerifyFixtureTest, StaticDecodeStepsAgreeWithTheReference) {
  const VerifyReport report = Verify(FixtureDir(GetParam()), DecodeMode::kStatic);
  EXPECT_TRUE(report.passed);
  EXPECT_TRUE(report.tokens_equal);
}

INSTANTIATE_TEST_SUITE_P(Fixtures, VerifyFixtureTest, ::testing::Values("tiny_a", "tiny_b"),
                         [](const auto& info) { return std::string(info.param); });

TEST(VerifyTest, OneWrongWeightIsSeen) {
  const ScratchDirectory dir;
  std::filesystem::copy(FixtureDir("tiny_b"), dir.path(), std::filesystem::copy_options::recursive);
  const std::filesystem::path path = dir / "model.safetensors";
  const uint64_t begin = SafetensorsFile::Open(path).entries().at("model.norm.weight").begin_bytes;
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  uint64_t header_bytes = 0;
  file.read(reinterpret_cast<char*>(&header_bytes), sizeof(header_bytes));
  const float wrong = 100.0f;
  file.seekp(static_cast<std::streamoff>(sizeof(header_bytes) + header_bytes + begin));
  file.write(reinterpret_cast<const char*>(&wrong), sizeof(wrong));
  file.close();

  const VerifyReport report = Verify(dir.path());
  EXPECT_FALSE(report.passed);
  std::map<std::string, bool> passed;
  for (const TensorCheck& check : report.tensors) passed[check.name] = check.passed;
  EXPECT_FALSE(passed["decoder.hidden_after_final_norm"]);
  EXPECT_TRUE(passed["decoder.hidden_after_layer3"]);  // before the norm
}

TEST(VerifyTest, MissingFileIsAnInputError) {
  const ScratchDirectory dir;
  EXPECT_THROW(Verify(dir.path()), InputError);
}

}  // namespace
}  // namespace dsocr::model
