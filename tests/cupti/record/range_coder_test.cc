#include "cupti/record/range_coder.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace dsocr::record {
namespace {

TEST(RangeCoderTest, ReadsBackDecisionsBitsAndNumbers) {
  std::mt19937_64 random(3);
  std::vector<uint64_t> numbers = {0, 1, ~uint64_t{0}, uint64_t{1} << 63, 0xffff};
  for (int i = 0; i < 5'000; ++i) {
    numbers.push_back(random() >> random() % 64);
  }
  RangeEncoder encoder;
  {
    AdaptiveBit is_odd;
    AdaptiveNumber number;
    for (const uint64_t value : numbers) {
      encoder.Bit(is_odd, value % 2 != 0);
      encoder.Bits(16, value & 0xffff);
      number.Code(encoder, value);
    }
  }
  encoder.Finish();

  RangeDecoder decoder(encoder.bytes().data(), encoder.bytes().size());
  AdaptiveBit is_odd;
  AdaptiveNumber number;
  for (const uint64_t value : numbers) {
    ASSERT_EQ(decoder.Bit(is_odd), value % 2 != 0);
    ASSERT_EQ(decoder.Bits(16), value & 0xffff);
    ASSERT_EQ(number.Code(decoder, 0), value);
  }
  EXPECT_FALSE(decoder.overrun());
}

TEST(RangeCoderTest, CostsTheEntropy) {
  std::mt19937_64 random(5);
  RangeEncoder encoder;
  AdaptiveBit rare;
  constexpr int kDecisions = 1'000'000;
  for (int i = 0; i < kDecisions; ++i) {
    encoder.Bit(rare, random() % 100 == 0);
  }
  encoder.Finish();
  const double bits = 8.0 * static_cast<double>(encoder.bytes().size()) / kDecisions;
  EXPECT_NEAR(bits, 0.0808, 0.003);  // -(0.01 log2 0.01 + 0.99 log2 0.99)
}

TEST(RangeCoderTest, WhatIsCertainCostsNothing) {
  RangeEncoder encoder;
  AdaptiveBit certain;
  for (int i = 0; i < 1'000'000; ++i) {
    encoder.Bit(certain, true);
  }
  encoder.Finish();
  EXPECT_LT(encoder.bytes().size(), 64u);
}

TEST(RangeCoderTest, NoticesThatBytesAreMissing) {
  const std::vector<uint8_t> bytes(8);
  RangeDecoder decoder(bytes.data(), bytes.size());
  for (int i = 0; i < 4; ++i) {
    EXPECT_FALSE(decoder.overrun());
    decoder.Bits(16);
  }
  for (int i = 0; i < 4; ++i) {
    decoder.Bits(16);
  }
  EXPECT_TRUE(decoder.overrun());
}

}  // namespace
}  // namespace dsocr::record
