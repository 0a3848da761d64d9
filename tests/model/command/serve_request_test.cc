#include "model/command/serve_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "model/command/frame.h"
#include "model/error.h"

namespace dsocr::model {
namespace {

using ::testing::HasSubstr;

nlohmann::json Minimal() {
  return {{"workload",
           {{"base_size", 512},
            {"image_size", 512},
            {"crop_mode", false},
            {"page_width", 512},
            {"page_height", 512},
            {"seq_len", 128},
            {"max_new_tokens", 64}}}};
}

std::string ErrorOf(const nlohmann::json& json) {
  try {
    ParseServeRequest(json.dump());
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

TEST(ServeRequestTest, AbsentOptionalsHaveTheirDefaults) {
  nlohmann::json json = Minimal();
  json["model_dir"] = nullptr;
  const ServeRequest request = ParseServeRequest(json.dump());
  EXPECT_EQ(request.model_dir, std::nullopt);
  EXPECT_FALSE(request.random_weights);
  EXPECT_EQ(request.device, "cpu");
  EXPECT_EQ(request.workload.seq_len, 128);
  EXPECT_EQ(request.warmup, 1);
}

TEST(ServeRequestTest, CudaGraphsNeedACudaDevice) {
  nlohmann::json json = Minimal();
  json["cuda_graphs"] = true;
  json["device"] = "cuda:0";
  EXPECT_TRUE(ParseServeRequest(json.dump()).cuda_graphs);
  json["device"] = "cpu";
  EXPECT_THAT(ErrorOf(json), HasSubstr("'cuda_graphs' is true, and device 'cpu' has none"));
}

TEST(ServeRequestTest, NamesTheFaultyField) {
  nlohmann::json json = Minimal();
  json["workload"]["base_size"] = -16;
  EXPECT_THAT(ErrorOf(json), HasSubstr("request: 'workload.base_size' is -16"));
  json = Minimal();
  json["workload"].erase("seq_len");
  EXPECT_THAT(ErrorOf(json), HasSubstr("'workload.seq_len' is missing"));
  json = Minimal();
  json["repeats"] = 0;
  EXPECT_THAT(ErrorOf(json), HasSubstr("'repeats' is 0"));
}

TEST(ServeRequestTest, RefusesWhatItCannotDo) {
  nlohmann::json json = Minimal();
  json["prompt"] = "<image>";
  EXPECT_THAT(ErrorOf(json), HasSubstr("'prompt' needs a model_dir"));
}

class FrameTest : public ::testing::Test {
 protected:
  FrameTest() { EXPECT_EQ(::pipe(ends_), 0); }
  ~FrameTest() override {
    ::close(ends_[0]);
    if (is_open_) ::close(ends_[1]);
  }
  void CloseWriter() {
    ::close(ends_[1]);
    is_open_ = false;
  }
  int ends_[2];
  bool is_open_ = true;
};

TEST_F(FrameTest, WhatIsWrittenIsRead) {
  ASSERT_TRUE(WriteFrame(ends_[1], R"({"event":"done"})"));
  EXPECT_EQ(ReadFrame(ends_[0]), R"({"event":"done"})");
}

TEST_F(FrameTest, EndOfFileBeforeAFrameIsNothing) {
  CloseWriter();
  EXPECT_EQ(ReadFrame(ends_[0]), std::nullopt);
}

TEST_F(FrameTest, RejectsFrameLongerThanLimit) {
  ASSERT_EQ(::write(ends_[1], "\x01\x00\x10\x00", 4), 4);  // 1 MiB + 1
  EXPECT_THROW(ReadFrame(ends_[0]), InputError);
}

TEST_F(FrameTest, RejectsFrameCutShort) {
  ASSERT_EQ(::write(ends_[1], "\x05\x00\x00\x00{}", 6), 6);
  CloseWriter();
  EXPECT_THROW(ReadFrame(ends_[0]), InputError);
}

}  // namespace
}  // namespace dsocr::model
