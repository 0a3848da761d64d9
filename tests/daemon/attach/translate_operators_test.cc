// Holds the places that operators are put at to what the job says of itself, for a recorded page and for the same page
// computed in another way.
#include "daemon/attach/translate_operators.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "daemon/attach/place_operators.h"
#include "daemon/attach/recognise_operators.h"
#include "daemon/attach/record_writer.h"
#include "tests/daemon/attach/golden_calls.h"

namespace dsocr::attach {
namespace {

using testing::Contains;
using testing::Pair;

const analytic::ModelSpec& TinyModel() {
  static const auto& model = *new analytic::ModelSpec([] {
    std::vector<OperatorCall> calls;
    for (const GoldenCall& call : GoldenCalls("tiny_a.tsv")) {
      calls.push_back(CallOf(call.name, call.has_shape ? &call.shape : nullptr));
    }
    return RecogniseCalls(calls)->model;
  }());
  return model;
}

struct Placed {
  std::string module;
  double confidence = 0.0;
};

std::vector<Placed> Place(const std::vector<GoldenCall>& calls) {
  const ExpectedCalls expected = ExpectCalls(TinyModel());
  std::vector<Placed> placed;
  OperatorPlacer placer(TinyModel(), expected, [&](const PlacedOperator& at) {
    placed.push_back({at.depth == 0
                          ? ""
                          : expected.modules[static_cast<size_t>(at.place->modules[static_cast<size_t>(at.depth) - 1])],
                      at.confidence});
  });
  std::map<std::string, record::NameId> names;
  for (const GoldenCall& call : calls) {
    record::Record operation{};
    operation.operation.name =
        names.try_emplace(call.name, static_cast<record::NameId>(names.size() + 1)).first->second;
    operation.operation.end_ns = call.duration_ns;
    placer.Consume(operation, call.name, call.has_shape ? &call.shape : nullptr);
  }
  placer.EndThread(0);
  return placed;
}

bool IsIn(const std::string& module, const std::string& around) {
  return !around.empty() && (module == around || module.starts_with(around + "/"));
}
std::string ParentOf(const std::string& module) { return module.substr(0, std::min(module.rfind('/'), module.size())); }

struct Score {
  double near_share = 0.0;  // of time, put into its module or the one around it
  double sure_share = 0.0;  // of operators, of which it is sure
  double sure_right = 0.0;  // of those, put into a module that its own is, or is in
};

Score ScoreOf(const std::vector<GoldenCall>& calls, const std::vector<Placed>& placed) {
  double all_ns = 0, near_ns = 0, sure = 0, right = 0;
  for (size_t i = 1; i < calls.size(); ++i) {  // the first comes before all landmarks
    const std::string& module = calls[i].module;
    const auto ns = static_cast<double>(calls[i].duration_ns);
    all_ns += ns;
    near_ns += placed[i].module == module || placed[i].module == ParentOf(module) ? ns : 0;
    if (placed[i].confidence >= 0.9) {
      ++sure;
      right += IsIn(module, placed[i].module) ? 1 : 0;
    }
  }
  return {near_ns / all_ns, sure / static_cast<double>(calls.size() - 1), right / sure};
}

TEST(OperatorPlacerTest, PutsOperatorsIntoTheModuleThatCalledThem) {
  const std::vector<GoldenCall> calls = GoldenCalls("tiny_a.tsv");
  const std::vector<Placed> placed = Place(calls);
  ASSERT_EQ(placed.size(), calls.size());
  const Score score = ScoreOf(calls, placed);
  EXPECT_GT(score.near_share, 0.97);
  EXPECT_GT(score.sure_share, 0.8);
  EXPECT_GT(score.sure_right, 0.98);
}

TEST(OperatorPlacerTest, WhatComesBeforeTheFirstLandmarkIsInNoModule) {
  std::vector<GoldenCall> calls = GoldenCalls("tiny_a.tsv");
  calls.erase(calls.begin(), calls.begin() + 5);
  const std::vector<Placed> placed = Place(calls);
  EXPECT_EQ(placed[0].module, "");
  EXPECT_EQ(placed[0].confidence, 0);
}

// q, k and v as one product: nobody knows which of the three it is, but that attention's it is.
TEST(OperatorPlacerTest, FusedProjectionsBelongToTheAttentionAroundThem) {
  std::vector<GoldenCall> calls;
  for (GoldenCall& call : GoldenCalls("tiny_a.tsv")) {
    const bool is_decoder = !call.module.starts_with("vision");
    if (is_decoder && (call.module.ends_with("k_proj") || call.module.ends_with("v_proj"))) {
      continue;
    }
    if (is_decoder && call.module.ends_with("q_proj") && call.has_shape) {
      call.shape = ShapeOf(call.name == "aten::mm" ? "5,64 64,192" : "5,64 192,64");
      call.module = ParentOf(call.module);
    }
    calls.push_back(std::move(call));
  }
  const std::vector<Placed> placed = Place(calls);
  int fused = 0;
  for (size_t i = 0; i < calls.size(); ++i) {
    if (calls[i].module.ends_with("self_attn") && calls[i].has_shape && !calls[i].module.starts_with("vision")) {
      EXPECT_EQ(placed[i].module, calls[i].module);
      ++fused;
    }
  }
  EXPECT_EQ(fused, 9);  // three layers in prefill and two steps
  EXPECT_GT(ScoreOf(calls, placed).sure_right, 0.97);
}

TEST(OperatorPlacerTest, AttentionInSeveralOperatorsStaysAttention) {
  std::vector<GoldenCall> calls;
  for (GoldenCall& call : GoldenCalls("tiny_a.tsv")) {
    if (call.name == "aten::scaled_dot_product_attention") {
      for (const char* name : {"transpose", "matmul", "mul", "softmax", "matmul"}) {
        calls.push_back(Call(name, std::string(name) == "matmul" ? "1,4,7,16 1,4,16,7" : "-", 1000, call.module));
      }
    } else {
      calls.push_back(std::move(call));
    }
  }
  const Score score = ScoreOf(calls, Place(calls));
  EXPECT_GT(score.near_share, 0.95);
  EXPECT_GT(score.sure_right, 0.97);
}

// Low-rank adapters beside every product of the decoder, of which the model knows nothing.
TEST(OperatorPlacerTest, OperatorsThatTheModelDoesNotHaveMakeItLessSure) {
  std::vector<GoldenCall> calls;
  for (GoldenCall& call : GoldenCalls("tiny_a.tsv")) {
    calls.push_back(call);
    if (call.has_shape && call.module.ends_with("o_proj")) {
      calls.push_back(Call("linear", "5,64 4,64", 1000, call.module));
      calls.push_back(Call("linear", "5,4 64,4", 1000, call.module));
      calls.push_back(Call("add", "-", 1000, call.module));
    }
  }
  const Score adapted = ScoreOf(calls, Place(calls));
  EXPECT_GT(adapted.near_share, 0.95);
  EXPECT_GT(adapted.sure_right, 0.97);
}

// Records as the agent writes them.
std::vector<record::Record> RecordsOf(const std::vector<GoldenCall>& calls) {
  std::vector<record::Record> records;
  RecordWriter writer([&records](const record::Record& record) { records.push_back(record); });
  std::map<std::string, record::NameId> names;
  int64_t now_ns = 1'000'000;
  for (const GoldenCall& call : calls) {
    record::NameId& name = names[call.name];
    name = name == 0 ? writer.DefineName(call.name) : name;
    record::Record record{};
    if (call.has_shape) {
      record.kind = record::Kind::kOperatorShape;
      record.operator_shape = call.shape;
      writer.Write(record);
    }
    record = {};
    record.kind = record::Kind::kCpuOperation;
    record.operation.name = name;
    record.operation.start_ns = now_ns;
    record.operation.end_ns = now_ns += call.duration_ns;
    now_ns += 10;
    writer.Write(record);
  }
  return records;
}

TEST(OperatorTranslatorTest, CallsAndRequestsAreThoseOfTheJob) {
  const std::vector<GoldenCall> page = GoldenCalls("tiny_a.tsv");
  std::vector<GoldenCall> calls = page;
  calls.insert(calls.end(), page.begin(), page.end());
  calls.insert(calls.end(), page.begin(), page.begin() + 2);  // a third begins
  attribution::Options options;
  options.resolve_range = [](std::string_view range) {
    return attribution::RangeMeaning{std::string(range), "", false};
  };
  attribution::Attribution attribution{options};
  OperatorTranslator translator(TinyModel(), [&](const record::Record& record) { attribution.Consume(record); });
  for (const record::Record& record : RecordsOf(calls)) {
    translator.Consume(record);
  }
  const OperatorObservation seen = translator.Finish();
  const attribution::Result result = attribution.Finish();
  EXPECT_EQ(result.records_invalid, 0);
  const ObservedRequest whole{.views = {{6, 160}, {1, 256}}, .batch = 1, .seq_len = 89, .steps = 2};
  EXPECT_THAT(seen.observation.requests, Contains(Pair(whole, 2)));

  std::map<std::string, int64_t> called;
  for (const attribution::ModuleSum& module : result.request.modules) {
    const auto resumed = seen.observation.resumed.find(module.module_id);
    called[module.module_id] = module.calls - (resumed == seen.observation.resumed.end() ? 0 : resumed->second);
  }
  EXPECT_EQ(called["deepseek_ocr"], 3);
  EXPECT_EQ(called["vision"], 5);
  EXPECT_EQ(called["vision/sam/block[1]/attn/core"], 4);
  EXPECT_EQ(called["projector"], 2);
  EXPECT_EQ(called["projector/linear/matmul"], 4);
  EXPECT_EQ(called["prefill"], 2);
  EXPECT_EQ(called["decode"], 4);
  EXPECT_EQ(called["decode/layer[2]/moe/experts"], 4);
  int64_t inferred_ns = 0;
  for (const auto& [id, sum] : seen.inferred) {
    EXPECT_LE(sum.sure_ns, static_cast<double>(sum.device_ns));
    inferred_ns += sum.device_ns;
  }
  EXPECT_EQ(inferred_ns, result.request.attributed_ns);
  EXPECT_GT(result.request.attributed_ns, 0);
}

TEST(OperatorTranslatorTest, HostileRecordsAreLeftOut) {
  std::mt19937_64 random(7);
  std::vector<record::Record> records = RecordsOf(GoldenCalls("tiny_a.tsv"));
  attribution::Attribution attribution{{}};
  OperatorTranslator translator(TinyModel(), [&](const record::Record& record) { attribution.Consume(record); });
  for (record::Record& record : records) {
    if (random() % 50 == 0) {
      record.words[random() % 6] = random();
    }
    if (random() % 200 == 0) {
      record.kind = static_cast<record::Kind>(random() % (record::kLastKind + 2));
    }
    if (random() % 100 == 0) {
      record.thread = static_cast<uint32_t>(random() % 3 == 0 ? random() : random() % 4);
    }
    translator.Consume(record);
  }
  translator.Finish();
  attribution.Finish();
}

}  // namespace
}  // namespace dsocr::attach
