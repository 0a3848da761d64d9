#include "daemon/attach/json_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace dsocr::attach {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Document {
 public:
  explicit Document(std::string text) : text_(std::move(text)), file_(::fmemopen(text_.data(), text_.size(), "rb")) {}
  ~Document() { std::fclose(file_); }
  JsonReader& reader() { return reader_; }

 private:
  std::string text_;
  std::FILE* const file_;
  JsonReader reader_{file_};
};

std::string StringIn(std::string text) {
  Document document(std::move(text));
  std::string value;
  EXPECT_TRUE(document.reader().ReadString(&value)) << document.reader().status();
  return value;
}

absl::Status AfterSkipping(std::string text) {
  Document document(std::move(text));
  document.reader().Skip();
  return document.reader().status();
}

TEST(JsonReaderTest, GoesThroughObjectsAndArrays) {
  Document document(R"( {"a" : [1, "two" ,[]], "b":{}, "c":-3.5e1} )");
  JsonReader& reader = document.reader();
  std::vector<std::string> seen;
  std::string value;
  ASSERT_TRUE(reader.BeginObject());
  while (const std::optional<std::string_view> key = reader.NextKey()) {
    seen.emplace_back(*key);
    if (seen.back() == "a") {
      ASSERT_TRUE(reader.BeginArray());
      ASSERT_TRUE(reader.NextElement() && reader.ReadScalar(&value));
      seen.push_back(value);
      ASSERT_TRUE(reader.NextElement() && reader.ReadString(&value));
      seen.push_back(value);
      ASSERT_TRUE(reader.NextElement());
      reader.Skip();
      ASSERT_FALSE(reader.NextElement());
    } else if (seen.back() == "c") {
      ASSERT_TRUE(reader.ReadScalar(&value));
      seen.push_back(value);
    } else {
      reader.Skip();
    }
  }
  EXPECT_TRUE(reader.status().ok()) << reader.status();
  EXPECT_THAT(seen, ElementsAre("a", "1", "two", "b", "c", "-3.5e1"));
}

TEST(JsonReaderTest, Unescapes) {
  EXPECT_EQ(StringIn(R"("a\"b\\c\/d\ne")"), "a\"b\\c/d e");
  EXPECT_EQ(StringIn(R"("\u0041\u00e9\u20ac\ud83d\ude00")"), "Aé€😀");
  EXPECT_EQ(StringIn(R"("\ud83d-\ude00\u12")"), "?-??12");
}

TEST(JsonReaderTest, StepsOverWhatProfilersWriteInPlaceOfNumbers) {
  EXPECT_TRUE(AfterSkipping(R"({"a": NaN, "b": -inf, "c": [nan, Infinity]})").ok());
}

TEST(JsonReaderTest, TokensMayStraddleTheBuffer) {
  // The buffer holds 256 KiB; each shift brings another token to its end.
  for (size_t shift = 0; shift < 40; ++shift) {
    Document document("[" + std::string(256 * 1024 - 40 + shift, ' ') + R"(12345678, "a\"b", {"key" : 7}, {"k":[1]}])");
    JsonReader& reader = document.reader();
    std::string value;
    ASSERT_TRUE(reader.BeginArray() && reader.NextElement() && reader.ReadScalar(&value));
    EXPECT_EQ(value, "12345678");
    ASSERT_TRUE(reader.NextElement() && reader.ReadString(&value));
    EXPECT_EQ(value, "a\"b");
    ASSERT_TRUE(reader.NextElement() && reader.BeginObject());
    EXPECT_EQ(reader.NextKey(), "key");
    ASSERT_TRUE(reader.ReadScalar(&value));
    EXPECT_EQ(value, "7");
    EXPECT_FALSE(reader.NextKey().has_value());
    ASSERT_TRUE(reader.NextElement());
    reader.Skip();
    EXPECT_FALSE(reader.NextElement());
    EXPECT_TRUE(reader.status().ok()) << reader.status();
  }
}

TEST(JsonReaderTest, SteppedOverTokensMayStraddleTheBuffer) {
  for (size_t shift = 0; shift < 24; ++shift) {
    EXPECT_TRUE(AfterSkipping("[" + std::string(256 * 1024 - 24 + shift, ' ') + R"(12345678, "a\\\"b\\"])").ok());
  }
}

TEST(JsonReaderTest, SaysWhereADocumentEndsEarly) {
  const std::string whole = R"({"a": [1, {"b": "text"}], "c": 2})";
  for (size_t length = 0; length < whole.size(); ++length) {
    const absl::Status status = AfterSkipping(whole.substr(0, length));
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << length;
    EXPECT_THAT(std::string(status.message()), HasSubstr("byte " + std::to_string(length))) << length;
    EXPECT_THAT(std::string(status.message()), HasSubstr("the file ends here")) << length;
  }
}

TEST(JsonReaderTest, RefusesWhatIsTooDeepAndTooLong) {
  EXPECT_TRUE(AfterSkipping(std::string(64, '[') + std::string(64, ']')).ok());
  EXPECT_EQ(AfterSkipping(std::string(65, '[') + std::string(65, ']')).message(),
            "byte 64: a value less deep was expected");

  Document at_limit("\"" + std::string(64 * 1024, 'x') + "\"");
  std::string value;
  EXPECT_TRUE(at_limit.reader().ReadString(&value));
  Document too_long("\"" + std::string(64 * 1024 + 1, 'x') + "\"");
  EXPECT_FALSE(too_long.reader().ReadString(&value));
  EXPECT_EQ(too_long.reader().status().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(AfterSkipping("\"" + std::string(1024 * 1024, 'x') + "\"").ok());
}

TEST(JsonReaderTest, RefusesBracketsThatDoNotMatch) {
  EXPECT_FALSE(AfterSkipping("[1}").ok());
  EXPECT_FALSE(AfterSkipping(R"({"a": 1])").ok());
  EXPECT_FALSE(AfterSkipping("]").ok());
  EXPECT_FALSE(AfterSkipping(",").ok());
}

TEST(JsonReaderTest, NothingComesAfterAnError) {
  Document document("[1 2]");
  JsonReader& reader = document.reader();
  std::string value;
  ASSERT_TRUE(reader.BeginArray() && reader.NextElement() && reader.ReadScalar(&value));
  EXPECT_FALSE(reader.NextElement());
  EXPECT_EQ(reader.status().message(), "byte 3: , was expected");
  EXPECT_EQ(reader.Peek(), JsonReader::Type::kNone);
  EXPECT_FALSE(reader.ReadScalar(&value));
  EXPECT_EQ(reader.status().message(), "byte 3: , was expected");
}

}  // namespace
}  // namespace dsocr::attach
