#include "model/weights/safetensors.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "model/error.h"
#include "tests/model/weights/safetensors_fake.h"
#include "tests/scratch_directory.h"

namespace dsocr::model {
namespace {

using ::testing::HasSubstr;

// What Open says about a file with this header and this many bytes of data; empty where it opens.
std::string ErrorOf(const std::string& header, size_t data_bytes) {
  const ScratchDirectory dir;
  WriteSafetensors(dir / "f", header, data_bytes);
  try {
    SafetensorsFile::Open(dir / "f");
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

TEST(SafetensorsTest, ReadsValuesInPlace) {
  const ScratchDirectory dir;
  const std::string header = R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  const float values[] = {1.5f, -2.0f};
  std::string data(sizeof(values), '\0');
  std::memcpy(data.data(), values, sizeof(values));
  dir.Write("f", LengthPrefix(header.size()) + header + data);

  const at::Tensor a = SafetensorsFile::Open(dir / "f").Read("a");
  EXPECT_EQ(a.sizes(), at::IntArrayRef({2}));
  EXPECT_EQ(a[0].item<float>(), 1.5f);
  EXPECT_EQ(a[1].item<float>(), -2.0f);
}

TEST(SafetensorsTest, ReadsTensorsThatAreNotAligned) {
  const ScratchDirectory dir;
  const std::string header =
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"I64","shape":[1],"data_offsets":[1,9]}})";
  dir.Write("f", LengthPrefix(header.size()) + header + std::string("\x00\x07\x00\x00\x00\x00\x00\x00\x00", 9));
  EXPECT_EQ(SafetensorsFile::Open(dir / "f").Read("b").item<int64_t>(), 7);
}

TEST(SafetensorsTest, RefusesHeaderOfTwoGigabytes) {
  const ScratchDirectory dir;
  dir.Write("f", LengthPrefix(uint64_t{2} << 30) + "{}");
  try {
    SafetensorsFile::Open(dir / "f");
    FAIL() << "opened";
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("a header of 2147483648 bytes does not fit a file of 10"));
  }
}

TEST(SafetensorsTest, RefusesHeaderLengthsThatOverflow) {
  const ScratchDirectory dir;
  dir.Write("f", LengthPrefix(~uint64_t{0}) + "{}");
  EXPECT_THROW(SafetensorsFile::Open(dir / "f"), InputError);
}

TEST(SafetensorsTest, RefusesTruncatedData) {
  EXPECT_THAT(ErrorOf(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 7),
              HasSubstr("tensor 'a' has offsets [0,8) outside the 7 bytes of data (file truncated?)"));
}

TEST(SafetensorsTest, RefusesOverlap) {
  EXPECT_THAT(ErrorOf(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
                          "b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
                      12),
              HasSubstr("tensors 'a' and 'b' overlap"));
}

TEST(SafetensorsTest, RefusesOffsetsThatRunBackwards) {
  EXPECT_THAT(ErrorOf(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[8,4]}})", 8), HasSubstr("tensor 'a'"));
}

TEST(SafetensorsTest, RefusesShapeThatIsNotItsBytes) {
  EXPECT_THAT(ErrorOf(R"({"a":{"dtype":"BF16","shape":[3],"data_offsets":[0,8]}})", 8),
              HasSubstr("tensor 'a' has 8 bytes of data, its shape needs 6"));
}

TEST(SafetensorsTest, RefusesShapeWhoseProductOverflows) {
  EXPECT_THAT(ErrorOf(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0),
              HasSubstr("tensor 'a' has an impossible shape"));
}

TEST(SafetensorsTest, RefusesUnknownDtypeAndNegativeShape) {
  EXPECT_THAT(ErrorOf(R"({"a":{"dtype":"Q4","shape":[],"data_offsets":[0,1]}})", 1), HasSubstr("unknown dtype 'Q4'"));
  EXPECT_THAT(ErrorOf(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4), HasSubstr("malformed"));
}

TEST(SafetensorsTest, RefusesANameThatStandsTwice) {
  EXPECT_THAT(ErrorOf(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},
                          "a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                      2),
              HasSubstr("tensor 'a' stands twice"));
}

TEST(SafetensorsTest, RefusesHeaderThatIsNoObject) {
  EXPECT_THAT(ErrorOf("[1]", 0), HasSubstr("not a JSON object"));
  EXPECT_THAT(ErrorOf("{\"a\":", 0), HasSubstr("not a JSON object"));
}

TEST(SafetensorsTest, RefusesEmptyMissingAndDirectory) {
  const ScratchDirectory dir;
  dir.Write("empty", "");
  EXPECT_THROW(SafetensorsFile::Open(dir / "empty"), InputError);
  EXPECT_THROW(SafetensorsFile::Open(dir / "missing"), InputError);
  EXPECT_THROW(SafetensorsFile::Open(dir.path()), InputError);
}

}  // namespace
}  // namespace dsocr::model
