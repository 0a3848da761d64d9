#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <span>
#include <vector>

#include "model/error.h"
#include "model/image/decode.h"
#include "model/image/image.h"
#include "tests/model/image/golden_cases.h"

namespace dsocr::model {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

std::string RecordedFile(const std::string& name) {
  const nlohmann::json cases = ReadGolden("pillow/cases.json").at("decode");
  for (const nlohmann::json& recorded : cases) {
    if (recorded.at("name") == name) {
      return FromHex(recorded.at("file_hex").get<std::string>());
    }
  }
  throw std::runtime_error("no recorded file " + name);
}

struct Failure {
  ErrorCode code;
  std::string text;
};

std::optional<Failure> LoadFailure(const std::filesystem::path& path) {
  try {
    LoadImage(path);
  } catch (const InputError& error) {
    return Failure{error.code(), error.what()};
  }
  return std::nullopt;
}

// The header of a PNG of this size, with a right checksum or not: sizes are refused before either matters.
std::string PngClaiming(uint32_t width, uint32_t height) {
  std::string file = RecordedFile("png rgb 8 bit");
  for (int i = 0; i < 4; ++i) {
    file[16 + i] = static_cast<char>(width >> (24 - 8 * i));
    file[20 + i] = static_cast<char>(height >> (24 - 8 * i));
  }
  return file;
}

TEST(LoadImage, RefusesAnImageOfTooManyPixelsBeforeDecodingIt) {
  const TempFile file(PngClaiming(30000, 30000));

  const auto failure = LoadFailure(file.path());

  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(failure->text, EndsWith("30000x30000 is more than 178956970 pixels; scale the page down"));
  EXPECT_THROW(ImageSize(file.path()), InputError);
}

TEST(LoadImage, RefusesSizesThatDoNotFitAnInt) {
  for (const auto& [width, height] : {std::pair{0u, 5u}, {5u, 0u}, {0x80000001u, 1u}, {0xffffffffu, 0xffffffffu}}) {
    const TempFile file(PngClaiming(width, height));
    const auto failure = LoadFailure(file.path());
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code, ErrorCode::kInvalidArgument);
  }
}

TEST(LoadImage, SaysThatAFileIsMissingOrNoImage) {
  const auto missing = LoadFailure("/nowhere/page.png");
  ASSERT_TRUE(missing);
  EXPECT_EQ(missing->code, ErrorCode::kNotFound);
  EXPECT_EQ(missing->text, "image '/nowhere/page.png': no such file; give the path of a PNG or JPEG file");

  const TempFile text("GIF89a is not for us");
  const auto unknown = LoadFailure(text.path());
  ASSERT_TRUE(unknown);
  EXPECT_THAT(unknown->text, HasSubstr("neither PNG nor JPEG"));

  const TempFile empty("");
  EXPECT_TRUE(LoadFailure(empty.path()));
  EXPECT_TRUE(LoadFailure("/dev/zero"));
  EXPECT_TRUE(LoadFailure("/tmp"));
}

// A file cut at any byte is an error, but for the trailing chunk that carries no pixels.
TEST(LoadImage, RefusesATruncatedPng) {
  const std::string whole = RecordedFile("png grey alpha 16 bit");
  constexpr size_t kEndChunkBytes = 12;
  constexpr size_t kPixelChecksumBytes = 4 + 4;  // of zlib and of the chunk: they follow the last pixel
  for (size_t length = 0; length < whole.size() - kEndChunkBytes - kPixelChecksumBytes; ++length) {
    const TempFile file(whole.substr(0, length));
    const auto failure = LoadFailure(file.path());
    ASSERT_TRUE(failure) << "cut at " << length;
    EXPECT_EQ(failure->code, ErrorCode::kInvalidArgument);
  }
}

TEST(LoadImage, RefusesATruncatedJpeg) {
  for (const char* name : {"jpeg 4:2:0", "jpeg progressive"}) {
    const std::string whole = RecordedFile(name);
    for (size_t length = 0; length + 2 < whole.size(); ++length) {
      const TempFile file(whole.substr(0, length));
      const auto failure = LoadFailure(file.path());
      ASSERT_TRUE(failure) << name << " cut at " << length;
      EXPECT_EQ(failure->code, ErrorCode::kInvalidArgument);
    }
  }
}

TEST(LoadImage, TakesEveryFlippedByteForAnImageOrAnErrorOfOneLine) {
  for (const char* name :
       {"png palette 4 bit", "png orientation 6", "png grey 1 bit, interlaced", "jpeg orientation 5"}) {
    const std::string whole = RecordedFile(name);
    for (size_t at = 0; at < whole.size(); ++at) {
      std::string flipped = whole;
      flipped[at] = static_cast<char>(flipped[at] ^ 0xff);
      const TempFile file(flipped);
      if (const auto failure = LoadFailure(file.path())) {
        EXPECT_EQ(failure->code, ErrorCode::kInvalidArgument);
        EXPECT_EQ(failure->text.find('\n'), std::string::npos) << failure->text;
      } else {
        const Image image = LoadImage(file.path());
        EXPECT_EQ(image.rgb.size(), static_cast<size_t>(image.width) * image.height * 3);
      }
    }
  }
}

TEST(ExifOrientation, IsOneForAnythingMalformed) {
  const std::vector<uint8_t> good = {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0};
  ASSERT_EQ(ExifOrientation(good), 6);

  for (size_t length = 0; length < 20; ++length) {
    EXPECT_EQ(ExifOrientation(std::span(good).first(length)), 1) << "cut at " << length;
  }
  std::vector<uint8_t> far_directory = good;
  far_directory[7] = 0xff;
  EXPECT_EQ(ExifOrientation(far_directory), 1);
  std::vector<uint8_t> many_entries = good;
  many_entries[9] = 0xff;
  many_entries[10] = 0;
  EXPECT_EQ(ExifOrientation(many_entries), 1);
}

}  // namespace
}  // namespace dsocr::model
