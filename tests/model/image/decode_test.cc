#include <gtest/gtest.h>

#include "model/image/image.h"
#include "tests/model/image/golden_cases.h"

namespace dsocr::model {
namespace {

TEST(LoadImage, GivesThePixelsOfPillowForEveryRecordedFile) {
  const nlohmann::json cases = ReadGolden("pillow/cases.json").at("decode");
  ASSERT_GE(cases.size(), 30u);
  for (const nlohmann::json& expected : cases) {
    SCOPED_TRACE(expected.at("name").get<std::string>());
    const TempFile file(FromHex(expected.at("file_hex").get<std::string>()));

    const Image image = LoadImage(file.path());

    EXPECT_EQ(image.width, expected.at("width"));
    EXPECT_EQ(image.height, expected.at("height"));
    EXPECT_EQ(Crc32(image.rgb), expected.at("crc32").get<uint32_t>());
  }
}

TEST(ImageSize, AgreesWithLoadImageForEveryRecordedFile) {
  const nlohmann::json cases = ReadGolden("pillow/cases.json").at("decode");
  for (const nlohmann::json& expected : cases) {
    SCOPED_TRACE(expected.at("name").get<std::string>());
    const TempFile file(FromHex(expected.at("file_hex").get<std::string>()));

    const Size size = ImageSize(file.path());

    EXPECT_EQ(size.width, expected.at("width"));
    EXPECT_EQ(size.height, expected.at("height"));
  }
}

}  // namespace
}  // namespace dsocr::model
