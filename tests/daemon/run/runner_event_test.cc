#include "daemon/run/runner_event.h"

#include <string>
#include <variant>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dsocr::run {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(RunnerEventTest, ReadsEveryEventOfTheProtocol) {
  const auto state =
      ParseRunnerEvent(R"({"event":"state","state":"loading","message":"loading weights","progress":0.4})");
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(std::get<StateEvent>(*state).state, v1::RUN_STATE_LOADING);
  EXPECT_EQ(std::get<StateEvent>(*state).progress, 0.4);

  const auto loaded = ParseRunnerEvent(
      R"({"event":"loaded","parameters":3336106240,"weight_bytes":1,"seconds":0.6,
          "device":{"name":"AMD EPYC","kind":"cpu","driver":"","cores":2}})");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(std::get<LoadedEvent>(*loaded).parameters, 3'336'106'240);
  EXPECT_EQ(std::get<LoadedEvent>(*loaded).device.cores(), 2);

  const auto prepared = ParseRunnerEvent(R"({"event":"prepared","seq_len":512,"image_tokens":273,"crop_grid":[1,1]})");
  EXPECT_EQ(std::get<PreparedEvent>(*prepared).image_tokens, 273);

  const auto request =
      ParseRunnerEvent(R"({"event":"request","index":1,"warmup":false,"wall_ns":12345,"off_cpu_ns":45,"tokens":[17,4],)"
                       R"("probe":{"gemm_ns":7e6,"copy_ns":2e6}})");
  EXPECT_EQ(std::get<RequestEvent>(*request).tokens, 2);
  EXPECT_EQ(std::get<RequestEvent>(*request).wall_ns, 12345);
  EXPECT_EQ(std::get<RequestEvent>(*request).off_cpu_ns, 45);
  EXPECT_EQ(std::get<RequestEvent>(*request).probe->copy_ns, 2e6);

  const auto experts = ParseRunnerEvent(
      R"({"event":"experts","layers":[{"layer":1,"prefill":3,"decode":4,"prefill_picks":[5,2,1],"decode_picks":[2,2,0]},
           {"layer":2,"prefill":2,"decode":0,"prefill_picks":[4,4,0],"decode_picks":[]}]})");
  ASSERT_TRUE(experts.ok()) << experts.status();
  ASSERT_EQ(std::get<ExpertsEvent>(*experts).layers.size(), 2u);
  EXPECT_EQ(std::get<ExpertsEvent>(*experts).layers[1].layer, 2);
  EXPECT_EQ(std::get<ExpertsEvent>(*experts).layers[1].prefill, 2);
  EXPECT_EQ(std::get<ExpertsEvent>(*experts).layers[1].decode, 0);
  EXPECT_THAT(std::get<ExpertsEvent>(*experts).layers[0].prefill_picks, ElementsAre(5, 2, 1));
  EXPECT_THAT(std::get<ExpertsEvent>(*experts).layers[0].decode_picks, ElementsAre(2, 2, 0));
  EXPECT_THAT(std::get<ExpertsEvent>(*experts).layers[1].decode_picks, IsEmpty());

  const auto done = ParseRunnerEvent(R"({"event":"done","text":null,"peak_rss_bytes":8100000000,"kv_cache_bytes":0})");
  EXPECT_EQ(std::get<DoneEvent>(*done).peak_rss_bytes, 8'100'000'000);
}

TEST(RunnerEventTest, ErrorCarriesItsCodeAndOneLine) {
  const auto event = ParseRunnerEvent(
      R"({"event":"error","code":"not_found","what":"file 'x\n'","why":"not there","todo":"name another"})");
  ASSERT_TRUE(event.ok()) << event.status();
  const absl::Status& status = std::get<ErrorEvent>(*event).status;
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(std::string(status.message()), "file 'x ': not there; name another");
}

TEST(RunnerEventTest, UnknownKeysAreAllowed) {
  EXPECT_TRUE(ParseRunnerEvent(R"({"event":"prepared","seq_len":1,"image_tokens":1,"new":[{}]})").ok());
}

TEST(RunnerEventTest, HostileEventsAreErrorsThatNameTheKey) {
  const std::pair<std::string, std::string> cases[] = {
      {"", "no JSON object"},
      {"\xff\xfe", "no JSON object"},
      {"[]", "no JSON object"},
      {std::string(100'000, '['), "no JSON object"},
      {R"({"event":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{}}}}}}}}}})", "no JSON object"},
      {R"({"state":"loading"})", "'event'"},
      {R"({"event":"explode"})", "'event'"},
      {R"({"event":"state","state":"flying","message":""})", "'state'"},
      {R"({"event":"state","state":"loading"})", "'message'"},
      {R"({"event":"state","state":"loading","message":"","progress":2})", "'progress'"},
      {R"({"event":"loaded","parameters":-1})", "'parameters'"},
      {R"({"event":"loaded","parameters":1,"device":[]})", "'device'"},
      {R"({"event":"experts","layers":{}})", "'layers'"},
      {R"({"event":"experts","layers":[3]})", "'layers'"},
      {R"({"event":"experts","layers":[{"layer":1,"prefill":-1,"decode":0}]})", "'prefill'"},
      {R"({"event":"experts","layers":[{"layer":1,"prefill":1,"decode":0}]})", "'prefill_picks'"},
      {R"({"event":"experts","layers":[{"layer":1,"prefill":1,"decode":0,"prefill_picks":[1,-1],"decode_picks":[]}]})",
       "'prefill_picks'"},
      {R"({"event":"experts","layers":[{"layer":1,"prefill":1,"decode":0,"prefill_picks":[1],"decode_picks":[0.5]}]})",
       "'decode_picks'"},
      {R"({"event":"experts","layers":[{"layer":1,"prefill":1,"decode":0,"prefill_picks":[1],"decode_picks":7}]})",
       "'decode_picks'"},
      {R"({"event":"request","index":0,"wall_ns":1e300,"warmup":true,"tokens":[]})", "'wall_ns'"},
      {R"({"event":"request","index":0,"wall_ns":18446744073709551615,"warmup":true,"tokens":[]})", "'wall_ns'"},
      {R"({"event":"request","index":0,"wall_ns":1,"warmup":true,"tokens":[]})", "'off_cpu_ns'"},
      {R"({"event":"request","index":0,"wall_ns":1,"off_cpu_ns":0,"warmup":1,"tokens":[]})", "'warmup'"},
      {R"({"event":"request","index":0,"wall_ns":1,"off_cpu_ns":0,"probe":{"gemm_ns":0,"copy_ns":1}})",
       "'probe.gemm_ns'"},
      {R"({"event":"request","index":0,"wall_ns":1,"off_cpu_ns":0,"probe":[1,2]})", "'probe.gemm_ns'"},
      {R"({"event":"done"})", "'peak_rss_bytes'"},
      {R"({"event":"error","code":"unheard_of","what":"","why":"","todo":""})", "'code'"},
  };
  for (const auto& [text, named] : cases) {
    const absl::Status status = ParseRunnerEvent(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text.substr(0, 80);
    EXPECT_THAT(std::string(status.message()), HasSubstr(named)) << text.substr(0, 80);
  }
}

}  // namespace
}  // namespace dsocr::run
