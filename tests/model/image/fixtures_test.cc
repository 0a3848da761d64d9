// image_global and image_crops of the fixtures, made by the published model's own preprocessing, must come out bit for
// bit.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

#include "model/image/preprocess.h"
#include "tests/model/image/golden_cases.h"

namespace dsocr::model {
namespace {

const std::string kFixtures = std::string(DSOCR_SOURCE_DIR) + "/tests/golden/fixtures/";

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<float> ReadTensor(const std::string& safetensors, const std::string& name) {
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, safetensors.data(), sizeof(header_bytes));
  const auto header = nlohmann::json::parse(safetensors.substr(8, header_bytes));
  const size_t first = header.at(name).at("data_offsets")[0];
  const size_t last = header.at(name).at("data_offsets")[1];
  std::vector<float> values((last - first) / sizeof(float));
  std::memcpy(values.data(), safetensors.data() + 8 + header_bytes + first, last - first);
  return values;
}

PreprocessConfig ReadConfig(const std::string& fixture) {
  const auto fields = nlohmann::json::parse(ReadAll(kFixtures + fixture + "/config.json")).at("preprocess");
  return {.crop_mode = fields.at("crop_mode"),
          .base_size = fields.at("base_size"),
          .image_size = fields.at("image_size"),
          .small_image_threshold = fields.at("small_image_threshold"),
          .crop_tile_size = fields.at("crop_tile_size"),
          .direct_resize_max = fields.at("direct_resize_max"),
          .min_num = fields.at("min_num"),
          .max_num = fields.at("max_num")};
}

TEST(Fixtures, CroppedPageIsBitExact) {
  const Image page = LoadImage(kFixtures + "tiny_a/image.png");

  const Views views = MakeViews(page, ReadConfig("tiny_a"));

  const std::string inputs = ReadAll(kFixtures + "tiny_a/inputs.safetensors");
  EXPECT_EQ(views.crops_wide, 3);
  EXPECT_EQ(views.crops_high, 2);
  EXPECT_TRUE(views.global == ReadTensor(inputs, "image_global"));
  EXPECT_TRUE(views.crops == ReadTensor(inputs, "image_crops"));
  EXPECT_EQ(ImageTokens({page.width, page.height}, ReadConfig("tiny_a")), 81);
}

TEST(Fixtures, SquashedPageIsBitExact) {
  const Image page = LoadImage(kFixtures + "tiny_b/image.png");

  const Views views = MakeViews(page, ReadConfig("tiny_b"));

  EXPECT_TRUE(views.global == ReadTensor(ReadAll(kFixtures + "tiny_b/inputs.safetensors"), "image_global"));
  EXPECT_TRUE(views.crops.empty());
  EXPECT_EQ(ImageTokens({page.width, page.height}, ReadConfig("tiny_b")), 31);
}

}  // namespace
}  // namespace dsocr::model
