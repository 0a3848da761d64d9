#include "daemon/attach/recognise_operators.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <variant>

#include "tests/daemon/attach/golden_calls.h"

namespace dsocr::attach {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<OperatorCall> CallsOf(const std::vector<GoldenCall>& golden) {
  std::vector<OperatorCall> calls;
  for (const GoldenCall& call : golden) {
    calls.push_back(CallOf(call.name, call.has_shape ? &call.shape : nullptr));
  }
  return calls;
}

std::string RefusalOf(const std::vector<GoldenCall>& golden) {
  const absl::StatusOr<RecognisedModel> model = RecogniseCalls(CallsOf(golden));
  EXPECT_EQ(model.status().code(), absl::StatusCode::kNotFound);
  return std::string(model.status().message());
}

TEST(RecogniseOperatorsTest, ReadsAllSizesFromWeightsAndAttention) {
  const absl::StatusOr<RecognisedModel> found = RecogniseCalls(CallsOf(GoldenCalls("tiny_a.tsv")));
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_FALSE(found->names_modules);
  EXPECT_EQ(found->precision, analytic::Precision::kFp32);
  const analytic::SamSpec& sam = found->model.sam;
  EXPECT_EQ(sam.layers, 4);
  EXPECT_EQ(sam.width, 48);
  EXPECT_EQ(sam.heads, 3);
  EXPECT_EQ(sam.image_size, 256);
  EXPECT_EQ(sam.window_size, 14);
  EXPECT_THAT(sam.global_attention_layers, ElementsAre(1, 3));
  EXPECT_THAT(sam.downsample_channels, ElementsAre(40, 64));
  const auto& clip = std::get<analytic::ClipSpec>(found->model.encoder);
  EXPECT_EQ(clip.layers, 3);
  EXPECT_EQ(clip.heads, 4);
  EXPECT_EQ(clip.ffn_hidden_size, 256);
  const analytic::DecoderSpec& decoder = found->model.decoder;
  EXPECT_EQ(decoder.vocab_size, 512);
  EXPECT_EQ(decoder.hidden_size, 64);
  EXPECT_EQ(decoder.layers, 3);
  EXPECT_EQ(decoder.first_k_dense, 1);
  EXPECT_EQ(decoder.intermediate_size, 176);
  EXPECT_EQ(decoder.routed_experts, 8);
  EXPECT_EQ(decoder.experts_per_token, 3);
  EXPECT_EQ(decoder.moe_intermediate_size, 40);
  EXPECT_EQ(decoder.shared_experts, 2);
  EXPECT_EQ(decoder.heads, 4);
}

TEST(RecogniseOperatorsTest, AWindowThatShowsNoWholeRequestIsNotEnough) {
  const std::vector<GoldenCall> golden = GoldenCalls("tiny_a.tsv");
  std::vector<GoldenCall> vision, language;
  for (const GoldenCall& call : golden) {
    (call.module.starts_with("vision") ? vision : language).push_back(call);
  }
  EXPECT_THAT(RefusalOf(vision), HasSubstr("no pass from a table of tokens"));
  EXPECT_THAT(RefusalOf(language), HasSubstr("no patch embedding"));
  EXPECT_THAT(RefusalOf({}), HasSubstr("no pass"));
}

TEST(RecogniseOperatorsTest, APlainTransformerIsNone) {
  std::vector<GoldenCall> calls = {Call("embedding", "1000,64 1,12")};
  for (int layer = 0; layer < 4; ++layer) {
    for (const char* sizes :
         {"12,64 64,64", "12,64 64,64", "12,64 64,64", "12,64 64,64", "12,64 256,64", "12,256 64,256"}) {
      calls.push_back(Call("linear", sizes));
    }
  }
  calls.push_back(Call("linear", "12,64 1000,64"));
  EXPECT_THAT(RefusalOf(calls), HasSubstr("no layers with experts"));
}

TEST(RecogniseOperatorsTest, AResNetIsNone) {
  std::vector<GoldenCall> calls = {Call("conv2d", "1,3,224,224 64,3,7,7")};
  for (int block = 0; block < 8; ++block) {
    calls.push_back(Call("conv2d", "1,64,56,56 64,64,3,3"));
    calls.push_back(Call("conv2d", "1,64,56,56 64,64,3,3"));
  }
  calls.push_back(Call("addmm", "1000 1,512 512,1000"));
  EXPECT_THAT(RefusalOf(calls), HasSubstr("no pass"));
}

TEST(RecogniseOperatorsTest, AnyCallsAreReadOrRefused) {
  const std::vector<GoldenCall> golden = GoldenCalls("tiny_a.tsv");
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<GoldenCall> calls = golden;
    for (int change = 0; change < 20; ++change) {
      GoldenCall& call = calls[random() % calls.size()];
      call.shape.sizes[random() % 2][random() % 5] =
          random() % 3 == 0 ? static_cast<uint32_t>(random()) : random() % 70;
      call.shape.rank[random() % 2] = static_cast<uint16_t>(random() % 7);
    }
    if (round % 2 == 0) {
      std::shuffle(calls.begin(), calls.end(), random);
    }
    const absl::StatusOr<RecognisedModel> found = RecogniseCalls(CallsOf(calls));
    if (found.ok()) {
      EXPECT_TRUE(analytic::CheckModel(found->model).ok());
    }
  }
}

}  // namespace
}  // namespace dsocr::attach
