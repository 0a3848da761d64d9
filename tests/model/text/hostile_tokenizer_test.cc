#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "model/error.h"
#include "model/text/tokenizer.h"
#include "tests/model/text/toy_tokenizer.h"
#include "tests/scratch_directory.h"

namespace dsocr::model {
namespace {

using ::testing::HasSubstr;

std::string LoadFailure(const std::string& content) {
  const ScratchDirectory directory;
  directory.Write("tokenizer.json", content);
  try {
    Tokenizer::Load(directory.path());
  } catch (const InputError& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.why();
  }
  return "";
}

std::string LoadFailure(const std::function<void(nlohmann::json&)>& change) {
  nlohmann::json json = ToyTokenizerJson();
  change(json);
  return LoadFailure(json.dump());
}

TEST(LoadTokenizer, SaysThatThereIsNone) {
  try {
    Tokenizer::Load("/nowhere");
    FAIL();
  } catch (const InputError& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_STREQ(error.what(), "tokenizer '/nowhere': no such file; give a directory with tokenizer.json");
  }
}

TEST(LoadTokenizer, RefusesWhatIsNotItsJson) {
  for (const char* content : {"", "null", "[]", "{", "{\"model\": 3}", "\xff\xfe", "{\"a\n\": 1}"}) {
    EXPECT_NE(LoadFailure(std::string(content)), "") << content;
  }
  EXPECT_NE(LoadFailure(std::string(200'000, '[')), "");
}

TEST(LoadTokenizer, RefusesEveryTruncation) {
  const std::string whole = ToyTokenizerJson().dump();
  for (size_t length = 0; length < whole.size(); length += 13) {
    EXPECT_NE(LoadFailure(whole.substr(0, length)), "") << length;
  }
}

TEST(LoadTokenizer, RefusesFeaturesThatItWouldIgnore) {
  EXPECT_EQ(LoadFailure([](auto& json) { json["normalizer"] = {{"type", "NFC"}}; }), "it uses 'normalizer'");
  EXPECT_EQ(LoadFailure([](auto& json) { json["model"]["dropout"] = 0.1; }), "it uses 'dropout'");
  EXPECT_EQ(LoadFailure([](auto& json) { json["model"]["ignore_merges"] = true; }), "it uses 'ignore_merges'");
  EXPECT_EQ(LoadFailure([](auto& json) { json["model"]["type"] = "Unigram"; }), "its model is not BPE");
  EXPECT_EQ(LoadFailure([](auto& json) { json["decoder"]["type"] = "Metaspace"; }), "its decoder is not ByteLevel");
  EXPECT_EQ(LoadFailure([](auto& json) {
              json["pre_tokenizer"] = {{"type", "Whitespace"}};
            }),
            "it has a pre-tokenizer 'Whitespace'");
  EXPECT_EQ(LoadFailure([](auto& json) { json["added_tokens"][0]["lstrip"] = true; }), "it uses 'lstrip'");
}

TEST(LoadTokenizer, RefusesImpossibleIds) {
  for (const nlohmann::json& id :
       {nlohmann::json(-1), nlohmann::json(1 << 30), nlohmann::json(1.5), nlohmann::json("1")}) {
    EXPECT_THAT(LoadFailure([&](auto& json) { json["model"]["vocab"]["ab"] = id; }), HasSubstr("is not an integer"));
    EXPECT_THAT(LoadFailure([&](auto& json) { json["added_tokens"][0]["id"] = id; }), HasSubstr("is not an integer"));
  }
}

TEST(LoadTokenizer, RefusesMergesOfUnknownTokens) {
  EXPECT_EQ(LoadFailure([](auto& json) {
              json["model"]["merges"][3] = {"x", "y"};
            }),
            "merge 3 names a token that is not in its vocabulary");
  EXPECT_EQ(LoadFailure([](auto& json) { json["model"]["merges"][0] = "ab"; }), "merge 0 is not a pair");
  EXPECT_EQ(LoadFailure([](auto& json) { json["model"]["merges"][0] = {"a", "b", "c"}; }), "merge 0 is not a pair");
}

TEST(LoadTokenizer, RefusesAMalformedPattern) {
  EXPECT_NE(LoadFailure([](auto& json) { json["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "(a"; }), "");
}

}  // namespace
}  // namespace dsocr::model
