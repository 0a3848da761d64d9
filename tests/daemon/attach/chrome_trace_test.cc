#include "daemon/attach/chrome_trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "daemon/attach/trace_fold.h"
#include "tests/daemon/attach/trace_text.h"

namespace dsocr::attach {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::string_view kOperator = R"({"ph":"X","cat":"cpu_op","name":"aten::mm","pid":1,"tid":1,"ts":5,"dur":2})";

std::string WithEvents(std::string_view events) { return "{\"traceEvents\":[" + std::string(events) + "]}"; }

// Of an event whose ts is this text, after one at 1 us.
int64_t NanosecondsOf(const std::string& time) {
  const auto trace = ReadTrace(WithEvents(R"({"ph":"X","cat":"cpu_op","name":"a","tid":1,"ts":1,"dur":0},)"
                                          R"({"ph":"X","cat":"cpu_op","name":"a","tid":1,"dur":0,"ts":)" +
                                          time + "}"));
  EXPECT_TRUE(trace.ok()) << trace.status();
  return trace.ok() && trace->host.size() == 2 ? trace->host[1].start_ns - trace->host[0].start_ns + 1000 : 0;
}

TEST(ChromeTraceTest, KeepsWhatAttributionNeeds) {
  const auto trace = ReadTrace(GoldenTrace("module_calls.json"));
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_EQ(trace->events, 13);
  EXPECT_EQ(trace->left_out, 0);
  EXPECT_EQ(trace->host.size(), 9u);  // 6 operators, 3 calls of modules
  EXPECT_TRUE(trace->device.empty());
  EXPECT_THAT(trace->thread_ids, ElementsAre(7, 8));
  const HostEvent& addmm = trace->host[0];
  EXPECT_EQ(trace->names[addmm.name], "aten::addmm");
  EXPECT_EQ(addmm.start_ns, 3501);  // 3.5 us after the first that was kept, which begins at 1
  EXPECT_EQ(addmm.end_ns, 7501);
  EXPECT_EQ(addmm.id, 2u);
}

TEST(ChromeTraceTest, TimesAreExactToTheNanosecond) {
  EXPECT_EQ(NanosecondsOf("4453953923784.121"), 4453953923784121);
  EXPECT_EQ(NanosecondsOf("12"), 12000);
  EXPECT_EQ(NanosecondsOf("12.5"), 12500);
  EXPECT_EQ(NanosecondsOf("12.3454"), 12345);
  EXPECT_EQ(NanosecondsOf("12.34569"), 12346);
  EXPECT_EQ(NanosecondsOf("1.5e3"), 1500000);
}

TEST(ChromeTraceTest, ReadsTheOldNamesAndABareArray) {
  const auto trace = ReadTrace(GoldenTrace("old.json"));
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_EQ(trace->host.size(), 3u);
  ASSERT_EQ(trace->device.size(), 2u);
  EXPECT_EQ(trace->device[0].kind, record::Kind::kKernel);
  EXPECT_EQ(trace->device[1].kind, record::Kind::kCopy);
  EXPECT_EQ(trace->host[0].id, 3u);  // "external id": "3"
}

TEST(ChromeTraceTest, LeavesOutEventsThatMakeNoSenseAndSaysWhich) {
  for (const std::string_view event : {
           R"({"ph":"X","cat":"cpu_op","name":"a","tid":1,"ts":NaN,"dur":2})",
           R"({"ph":"X","cat":"cpu_op","name":"a","tid":1,"ts":[5],"dur":2})",
           R"({"ph":"X","cat":"cpu_op","name":"a","tid":1,"ts":1e300,"dur":2})",
           R"({"ph":"X","cat":"cpu_op","name":"a","tid":1,"dur":2})",
       }) {
    const auto trace = ReadTrace(WithEvents(std::string(kOperator) + "," + std::string(event)));
    ASSERT_TRUE(trace.ok()) << trace.status();
    EXPECT_EQ(trace->left_out, 1) << event;
    EXPECT_EQ(trace->first_left_out, "event 2 (byte 91): 'ts' is no time") << event;
    EXPECT_EQ(trace->host.size(), 1u);
  }
  for (const std::string_view duration : {"-1", "\"x\"", "inf", "99999999999999999999", "null"}) {
    const auto trace =
        ReadTrace(WithEvents(R"({"ph":"X","cat":"kernel","name":"a","ts":1,"dur":)" + std::string(duration) + "}"));
    ASSERT_TRUE(trace.ok()) << trace.status();
    EXPECT_EQ(trace->first_left_out, "event 1 (byte 16): 'dur' is no duration") << duration;
  }
}

TEST(ChromeTraceTest, NamesBecomeTextThatMayBeSent) {
  const auto trace = ReadTrace(
      WithEvents("{\"ph\":\"X\",\"cat\":\"cpu_op\",\"name\":\"a\xff\x01\xc3\xa9\xed\xa0\x80\",\"ts\":1,\"dur\":1}"));
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_THAT(trace->names, ElementsAre("", "a? é???"));
}

TEST(ChromeTraceTest, LongNamesAreCut) {
  const auto trace =
      ReadTrace(WithEvents(R"({"ph":"X","cat":"kernel","name":")" + std::string(5000, 'k') + R"(","ts":1,"dur":1})"));
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_EQ(trace->names[1].size(), record::kMaxNameBytes);
}

TEST(ChromeTraceTest, AnythingElseIsAnErrorThatSaysWhere) {
  EXPECT_THAT(std::string(ReadTrace("{}").status().message()), HasSubstr("no 'traceEvents'"));
  EXPECT_THAT(std::string(ReadTrace("7").status().message()), StartsWith("byte 0: "));
  EXPECT_EQ(ReadTrace("{\"traceEvents\": 7}").status().message(), "byte 16: [ was expected");
  EXPECT_EQ(ReadTrace("{\"traceEvents\": [7]}").status().message(), "byte 17: { was expected");
}

TEST(ChromeTraceTest, EveryTruncationIsAnErrorThatSaysWhere) {
  const std::string whole = GoldenTrace("module_calls.json");
  for (size_t length = 1; length < whole.rfind('}'); ++length) {
    const auto trace = ReadTrace(whole.substr(0, length));
    EXPECT_EQ(trace.status().code(), absl::StatusCode::kDataLoss) << length;
    EXPECT_THAT(std::string(trace.status().message()), HasSubstr("the file ends here")) << length;
  }
}

TEST(ChromeTraceTest, MutationsAreAnErrorOrSumsThatAddUp) {
  std::mt19937 random(6);
  for (const char* name : {"module_calls.json", "gpu.json"}) {
    const std::string whole = GoldenTrace(name);
    for (int i = 0; i < 3000; ++i) {
      std::string text = whole;
      for (int change = 0; change < 3; ++change) {
        text[random() % text.size()] = "0123456789-.,:{}[]\"\\ex\xff"[random() % 23];
      }
      auto trace = ReadTrace(std::move(text));
      if (!trace.ok()) {
        EXPECT_EQ(trace.status().code(), absl::StatusCode::kDataLoss);
        continue;
      }
      const FoldedTrace folded = *FoldTrace(*std::move(trace), {}, [] { return false; });
      int64_t self_ns = 0;
      for (const attribution::ModuleSum& module : folded.attribution.request.modules) {
        self_ns += module.self_device_ns;
      }
      EXPECT_EQ(self_ns, folded.attribution.request.attributed_ns);
    }
  }
}

TEST(ChromeTraceTest, CanBeCancelled) {
  std::string events(kOperator);
  for (int i = 0; i < 1 << 14; ++i) {
    events.append(",").append(kOperator);
  }
  std::string text = WithEvents(events);
  std::FILE* const file = ::fmemopen(text.data(), text.size(), "rb");
  EXPECT_EQ(ReadChromeTrace(file, [] { return true; }).status().code(), absl::StatusCode::kCancelled);
  std::fclose(file);
}

}  // namespace
}  // namespace dsocr::attach
