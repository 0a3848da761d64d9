#include "daemon/run/frame.h"

#include <string>

#include "gtest/gtest.h"

namespace dsocr::run {
namespace {

TEST(FrameTest, LengthIsLittleEndian) { EXPECT_EQ(EncodeFrame("abc"), std::string("\x03\0\0\0abc", 7)); }

TEST(FrameTest, FramesComeOutAsTheyWentInHoweverTheBytesArrive) {
  const std::string bytes = EncodeFrame("first") + EncodeFrame(std::string(kMaxFrameBytes, 'x')) + EncodeFrame("{}");
  for (const size_t step : {size_t{1000}, size_t{65536}, bytes.size()}) {
    FrameReader reader;
    std::vector<std::string> frames;
    for (size_t begin = 0; begin < bytes.size(); begin += step) {
      reader.Append(std::string_view(bytes).substr(begin, step));
      for (auto frame = reader.Next(); *frame; frame = reader.Next()) {
        frames.push_back(**frame);
      }
    }
    ASSERT_EQ(frames.size(), 3u);
    EXPECT_EQ(frames[0], "first");
    EXPECT_EQ(frames[1].size(), kMaxFrameBytes);
    EXPECT_EQ(frames[2], "{}");
  }
}

TEST(FrameTest, RejectsFrameLongerThanLimitBeforeItsBytesCome) {
  FrameReader reader;
  reader.Append(std::string("\x01\0\x10\0", 4));  // 1 MiB + 1
  EXPECT_EQ(reader.Next().status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(reader.Next().ok());
}

TEST(FrameTest, RejectsEmptyFrame) {
  FrameReader reader;
  reader.Append(std::string(4, '\0'));
  EXPECT_FALSE(reader.Next().ok());
}

TEST(FrameTest, HalfAFrameIsNoFrameYet) {
  FrameReader reader;
  reader.Append(std::string("\x02\0\0\0a", 5));
  const auto frame = reader.Next();
  ASSERT_TRUE(frame.ok());
  EXPECT_FALSE(frame->has_value());
}

}  // namespace
}  // namespace dsocr::run
