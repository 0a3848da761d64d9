#include "daemon/attach/dynolog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dsocr::attach {
namespace {

using ::testing::ElementsAre;

std::string FromHex(std::string_view hex) {
  std::string bytes;
  for (size_t at = 0; at + 1 < hex.size(); at += 2) {
    bytes.push_back(static_cast<char>(std::stoi(std::string(hex.substr(at, 2)), nullptr, 16)));
  }
  return bytes;
}

// What torch 2.11 sent: its payload is 40 bytes long.
const std::string& RecordedRequest() {
  static const std::string bytes = FromHex("2800000000000000") + "req" + std::string(29, '\0') +
                                   FromHex(
                                       "03000000060000000000000000000000"
                                       "61200000602000005220000051200000360c0000340c0000");
  return bytes;
}

TEST(DynologTest, ReadsWhatTorchSends) {
  const std::optional<DynologRequest> request = DecodeDynologRequest(RecordedRequest());
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->activities, 3);
  EXPECT_EQ(request->job, 0);
  EXPECT_THAT(request->pids, ElementsAre(0x2061, 0x2060, 0x2052, 0x2051, 0xc36, 0xc34));
}

TEST(DynologTest, WritesWhatTorchSends) {
  EXPECT_EQ(EncodeDynologRequest({.activities = 3, .pids = {0x2061, 0x2060, 0x2052, 0x2051, 0xc36, 0xc34}}),
            RecordedRequest());
}

TEST(DynologTest, ReplyIsTheTextBehindAHeaderOf40Bytes) {
  const std::string reply = EncodeDynologReply("A=1\n");
  EXPECT_EQ(reply, FromHex("0400000000000000") + "req" + std::string(29, '\0') + "A=1\n");
  EXPECT_EQ(DecodeDynologReply(reply), "A=1\n");
  EXPECT_EQ(DecodeDynologReply(EncodeDynologReply("")), "");
}

TEST(DynologTest, RefusesEveryOtherLength) {
  for (size_t length = 0; length < RecordedRequest().size(); ++length) {
    EXPECT_FALSE(DecodeDynologRequest(std::string_view(RecordedRequest()).substr(0, length)).has_value()) << length;
  }
  EXPECT_FALSE(DecodeDynologRequest(RecordedRequest() + "x").has_value());
}

TEST(DynologTest, RefusesLengthsThatLie) {
  for (const size_t at : {size_t{0}, size_t{7}, size_t{44}, size_t{47}}) {  // of the payload, and of its pids
    for (const char value : {'\0', '\1', '\x7f', '\xff'}) {
      std::string bytes = RecordedRequest();
      if (bytes[at] == value) {
        continue;
      }
      bytes[at] = value;
      EXPECT_FALSE(DecodeDynologRequest(bytes).has_value()) << at << " " << int{value};
    }
  }
}

TEST(DynologTest, RefusesOtherTypesAndNobody) {
  std::string other = RecordedRequest();
  other.replace(8, 4, "ctxt");
  EXPECT_FALSE(DecodeDynologRequest(other).has_value());
  EXPECT_FALSE(DecodeDynologRequest(EncodeDynologRequest({.activities = 3})).has_value());
  EXPECT_FALSE(
      DecodeDynologRequest(EncodeDynologRequest({.pids = std::vector<int32_t>(kMaxDynologPids + 1, 1)})).has_value());
}

}  // namespace
}  // namespace dsocr::attach
