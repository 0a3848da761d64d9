#include "model/image/preprocess.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

#include "model/error.h"
#include "tests/model/image/golden_cases.h"

namespace dsocr::model {
namespace {

PreprocessConfig ConfigOf(const std::string& mode) {
  static const std::map<std::string, PreprocessConfig> configs = {
      {"tiny", {.crop_mode = false, .base_size = 512, .image_size = 512}},
      {"small", {.crop_mode = false, .base_size = 640, .image_size = 640}},
      {"base", {.crop_mode = false, .base_size = 1024, .image_size = 1024}},
      {"large", {.crop_mode = false, .base_size = 1280, .image_size = 1280}},
      {"gundam", {.crop_mode = true, .base_size = 1024, .image_size = 640}}};
  return configs.at(mode);
}

TEST(LayoutTokens, MatchesEveryRecordedPage) {
  const nlohmann::json cases = ReadGolden("preprocess_cases.json").at("cases");
  ASSERT_EQ(cases.size(), 20u);
  for (const nlohmann::json& expected : cases) {
    SCOPED_TRACE(expected.dump());
    const PreprocessConfig config = ConfigOf(expected.at("mode"));
    const Size page{expected.at("width"), expected.at("height")};

    const TokenLayout layout = LayoutTokens(page, config);

    EXPECT_EQ(layout.crops_wide, expected.at("crop_grid_wh")[0]);
    EXPECT_EQ(layout.crops_high, expected.at("crop_grid_wh")[1]);
    EXPECT_EQ(layout.num_crops(), expected.at("num_crops"));
    EXPECT_EQ(layout.local_rows_tokens, expected.at("local_rows_tokens"));
    EXPECT_EQ(layout.global_rows_tokens, expected.at("global_rows_tokens"));
    EXPECT_EQ(layout.view_separator_tokens, expected.at("view_separator_tokens"));
    EXPECT_EQ(ImageTokens(page, config), expected.at("num_image_tokens"));
  }
}

// Rows and columns of the global view that hold anything but the padding colour, of a black page: right and bottom
// exclusive.
TEST(MakeViews, PlacesEveryRecordedPageInTheGlobalView) {
  const nlohmann::json cases = ReadGolden("preprocess_cases.json").at("cases");
  for (const nlohmann::json& expected : cases) {
    SCOPED_TRACE(expected.dump());
    const int width = expected.at("width");
    const int height = expected.at("height");
    const Image black{width, height, std::vector<uint8_t>(static_cast<size_t>(width) * height * 3)};

    const Views views = MakeViews(black, ConfigOf(expected.at("mode")));

    const int side = views.global_side;
    ASSERT_EQ(side, expected.at("global_view_side"));
    EXPECT_EQ(views.crop_side, expected.at("crop_side"));
    int left = side, top = side, right = 0, bottom = 0;
    for (int y = 0; y < side; ++y) {
      for (int x = 0; x < side; ++x) {
        if (views.global[static_cast<size_t>(y) * side + x] == -1.0f) {
          left = std::min(left, x);
          top = std::min(top, y);
          right = std::max(right, x + 1);
          bottom = std::max(bottom, y + 1);
        }
      }
    }
    EXPECT_EQ(nlohmann::json({left, top, right, bottom}), expected.at("global_content_box_xyxy"));
  }
}

TEST(MakeViews, GivesTheFloatsOfPillowAndNumpy) {
  const nlohmann::json cases = ReadGolden("pillow/cases.json").at("views");
  ASSERT_GE(cases.size(), 10u);
  for (const nlohmann::json& expected : cases) {
    SCOPED_TRACE(expected.dump());
    const PreprocessConfig config{.crop_mode = expected.at("crop_mode"),
                                  .base_size = expected.at("base_size"),
                                  .image_size = expected.at("image_size")};

    const Views views = MakeViews(NoisePage(expected["page"][0], expected["page"][1]), config);

    EXPECT_EQ(nlohmann::json({views.crops_wide, views.crops_high}), expected.at("crop_grid"));
    EXPECT_EQ(Crc32(views.global), expected.at("global_crc32").get<uint32_t>());
    EXPECT_EQ(Crc32(views.crops), expected.at("crops_crc32").get<uint32_t>());
  }
}

TEST(LayoutTokens, PrefersTheLaterOfTwoEquallyGoodGridsForALargePage) {
  const PreprocessConfig config;

  // 1x2 and 2x4 have the same aspect; 8 tiles win over 2 from half of their pixels on.
  EXPECT_EQ(LayoutTokens({1280, 2560}, config).num_crops(), 8);
  EXPECT_EQ(LayoutTokens({700, 1400}, config).num_crops(), 2);
}

TEST(MakeViews, RefusesAPageWithoutArea) { EXPECT_THROW(MakeViews(Image{}, PreprocessConfig{}), InputError); }

TEST(MakeViews, RefusesAPageThatIsALine) {
  EXPECT_THROW(MakeViews(NoisePage(1, 3000), PreprocessConfig{}), InputError);
  EXPECT_THROW(MakeViews(NoisePage(3000, 1), ConfigOf("large")), InputError);
}

TEST(CheckConfig, NamesTheFieldThatIsWrong) {
  const auto failure = [](const PreprocessConfig& config) -> std::string {
    try {
      CheckConfig(config);
    } catch (const InputError& error) {
      return error.what_failed();
    }
    return "";
  };

  EXPECT_EQ(failure({}), "");
  EXPECT_EQ(failure({.base_size = 0}), "base_size 0");
  EXPECT_EQ(failure({.base_size = -16}), "base_size -16");
  EXPECT_EQ(failure({.base_size = 1000}), "base_size 1000");
  EXPECT_EQ(failure({.base_size = 1 << 30}), "base_size 1073741824");
  EXPECT_EQ(failure({.image_size = 1024}), "image_size 1024");
  EXPECT_EQ(failure({.crop_mode = false, .image_size = 1024}), "");
  EXPECT_EQ(failure({.min_num = 4, .max_num = 3}), "max_num 3");
  EXPECT_EQ(failure({.max_num = 1 << 30}), "max_num 1073741824");
  EXPECT_EQ(failure({.patch_size = 0}), "patch_size 0");
}

}  // namespace
}  // namespace dsocr::model
