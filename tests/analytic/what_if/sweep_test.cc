#include "analytic/what_if/sweep.h"

#include <cmath>
#include <string>

#include "analytic/what_if/tornado.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dsocr::analytic {
namespace {

using ::testing::HasSubstr;

std::string Refusal(const char* text) { return std::string(ParseSweep(text).status().message()); }

TEST(ParseSweep, CountsTheEndIn) {
  const auto sweep = ParseSweep("seq-len=512:2048:512");
  ASSERT_TRUE(sweep.ok()) << sweep.status();
  EXPECT_EQ(sweep->knob, KnobId::kSeqLen);
  EXPECT_EQ(sweep->count, 4);
  EXPECT_EQ(sweep->At(3), 2048);
  EXPECT_EQ(ParseSweep("peak_tflops=0.1:0.5:0.1")->count, 5);  // ten tenths are not quite one
  EXPECT_EQ(ParseSweep("batch_scale=4:1:-1")->count, 4);
}

TEST(ParseSweep, SaysWhatIsWrong) {
  EXPECT_THAT(Refusal("seq_len"), HasSubstr("no '=' in it"));
  EXPECT_THAT(Refusal("seqlen=1:2:1"), HasSubstr("did you mean 'seq_len'"));
  EXPECT_THAT(Refusal("dtype=1:2:1"), HasSubstr("has no order"));
  EXPECT_THAT(Refusal("page=1:2:1"), HasSubstr("sweep page_width and page_height"));
  EXPECT_THAT(Refusal("seq_len=1:2"), HasSubstr("not three numbers"));
  EXPECT_THAT(Refusal("seq_len=1:nan:1"), HasSubstr("not three numbers"));
  EXPECT_THAT(Refusal("seq_len=1:2:0"), HasSubstr("does not lead from 1 to 2"));
  EXPECT_THAT(Refusal("seq_len=2:1:1"), HasSubstr("does not lead from 2 to 1"));
  EXPECT_THAT(Refusal("seq_len=1:1e300:1e-300"), HasSubstr("over 1000000 values"));
}

TEST(SweepGrid, RunsTheLastSweepFastest) {
  const auto grid = SweepGrid::Make({}, {*ParseSweep("batch_scale=1:2:1"), *ParseSweep("seq_len=512:1024:256")});
  ASSERT_TRUE(grid.ok()) << grid.status();
  ASSERT_EQ(grid->count(), 6);
  EXPECT_EQ(grid->At(1)->batch_scale, 1);
  EXPECT_EQ(grid->At(1)->seq_len, 768);
  EXPECT_EQ(grid->At(5)->batch_scale, 2);
  EXPECT_EQ(grid->At(5)->seq_len, 1024);
}

TEST(SweepGrid, RefusesWhatNoScreenCouldHold) {
  const Sweep many = *ParseSweep("seq_len=1:2000:1");
  EXPECT_THAT(std::string(SweepGrid::Make({}, {many, *ParseSweep("batch_scale=1:501:1")}).status().message()),
              HasSubstr("over 1000000 scenarios in all"));
  EXPECT_THAT(std::string(SweepGrid::Make({}, {many, many}).status().message()), HasSubstr("given twice"));
  EXPECT_FALSE(SweepGrid::Make({}, {*ParseSweep("seq_len=0:10:1")}).ok());
}

TEST(SetKnob, NamesTheKnobThatIsWrong) {
  Scenario scenario;
  const struct {
    KnobId knob;
    const char* value;
    const char* why;
  } cases[] = {
      {KnobId::kPeakTflops, "inf", "peak_tflops inf: not finite"},
      {KnobId::kLinkGbs, "-1", "link_gbs -1: not positive"},
      {KnobId::kBatchScale, "two", "batch_scale 'two': not a number"},
      {KnobId::kSeqLen, "1.5", "seq_len 1.5: not a whole number"},
      {KnobId::kCropMode, "2", "crop_mode 2: a switch"},
      {KnobId::kPage, "600", "page '600': not WIDTHxHEIGHT"},
      {KnobId::kDtype, "fp4", "dtype 'fp4': no such format"},
      {KnobId::kDeviceProfile, "l5", "no device 'l5'"},
  };
  for (const auto& [knob, value, why] : cases) {
    EXPECT_THAT(std::string(SetKnob(knob, value, &scenario).message()), HasSubstr(why));
  }
  EXPECT_TRUE(ParametersOf(scenario).empty());
}

TEST(Tornado, PutsTheKnobThatMovesMostFirst) {
  auto what_if = WhatIf::Create({ModelSpec(), *FindWorkload("dsocr-standard-v1"), *FindDevice("cpu")});
  ASSERT_TRUE(what_if.ok());
  const auto bars = Tornado(*what_if, {});
  ASSERT_TRUE(bars.ok()) << bars.status();
  ASSERT_GE(bars->size(), 8);
  for (size_t i = 1; i < bars->size(); ++i) {
    EXPECT_GE((*bars)[i - 1].swing_ns, (*bars)[i].swing_ns);
  }
  for (const TornadoBar& bar : *bars) {
    if (bar.knob == KnobId::kMemoryBandwidthGbs) {
      ASSERT_TRUE(bar.low && bar.high);
      EXPECT_GT(bar.low->total_time_ns, bar.high->total_time_ns);
    }
    if (bar.knob == KnobId::kBatchScale) {
      EXPECT_FALSE(bar.low);  // no half request
    }
  }
}

}  // namespace
}  // namespace dsocr::analytic
