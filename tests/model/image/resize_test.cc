#include "model/image/resize.h"

#include <gtest/gtest.h>

#include "model/error.h"
#include "tests/model/image/golden_cases.h"

namespace dsocr::model {
namespace {

TEST(ResizeBicubic, GivesTheBytesOfPillow) {
  const nlohmann::json cases = ReadGolden("pillow/cases.json").at("resize");
  ASSERT_GE(cases.size(), 10u);
  for (const nlohmann::json& expected : cases) {
    SCOPED_TRACE(expected.dump());
    const Image page = NoisePage(expected["from"][0], expected["from"][1]);

    const Image out = ResizeBicubic(page, {expected["to"][0], expected["to"][1]});

    EXPECT_EQ(Crc32(out.rgb), expected.at("crc32").get<uint32_t>());
  }
}

TEST(ResizeBicubic, KeepsOneColour) {
  const Image grey{3, 2, std::vector<uint8_t>(3 * 2 * 3, 200)};

  const Image out = ResizeBicubic(grey, {11, 1});

  EXPECT_EQ(out.rgb, std::vector<uint8_t>(11 * 1 * 3, 200));
}

TEST(ResizeBicubic, RefusesEmptyAndUnboundedPictures) {
  EXPECT_THROW(ResizeBicubic(Image{}, {4, 4}), InputError);
  EXPECT_THROW(ResizeBicubic(NoisePage(2, 2), {0, 4}), InputError);
  // 640 columns of 300,000 rows would stand between the passes.
  EXPECT_THROW(ResizeBicubic(NoisePage(1, 300'000), {640, 640}), InputError);
}

TEST(ContainedSize, RoundsHalfToEven) {
  EXPECT_EQ(ContainedSize({16, 5}, 8), (Size{8, 2}));  // 2.5
  EXPECT_EQ(ContainedSize({16, 7}, 8), (Size{8, 4}));  // 3.5
  EXPECT_EQ(ContainedSize({5, 16}, 8), (Size{2, 8}));
  EXPECT_EQ(ContainedSize({9, 9}, 8), (Size{8, 8}));
}

TEST(ContainedSize, RefusesAPageThatVanishes) {
  EXPECT_EQ(ContainedSize({2, 2048}, 1024), (Size{1, 1024}));
  EXPECT_THROW(ContainedSize({1, 2048}, 1024), InputError);  // 0.5 rounds to 0
  EXPECT_THROW(ContainedSize({100'000, 1}, 1024), InputError);
}

TEST(PadToSquare, CentresThePageOnTheColour) {
  const Image page{4, 2, std::vector<uint8_t>(4 * 2 * 3, 10)};

  const Image square = PadToSquare(page, 4, {1, 2, 3});

  for (int y = 0; y < 4; ++y) {
    const bool is_page = y == 1 || y == 2;
    EXPECT_EQ(square.Row(y)[0], is_page ? 10 : 1);
    EXPECT_EQ(square.Row(y)[11], is_page ? 10 : 3);
  }
}

}  // namespace
}  // namespace dsocr::model
