#include "daemon/attach/translate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>

#include "analytic/module/tree.h"
#include "cupti/attribution/attribution.h"
#include "tests/daemon/attach/job_modules.h"
#include "tests/daemon/attach/published_job.h"
#include "tests/daemon/attach/recorded_job.h"

namespace dsocr::attach {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Key;
using testing::Not;
using testing::Pair;

struct Translated {
  attribution::Result raw;
  attribution::Result result;
  Observation observation;
};

const RecognisedModel& TinyModel() {
  static const auto& model = *new RecognisedModel(*Recognise(GoldenModules("published_tiny_a.tsv"), nullptr));
  return model;
}

Translated Translate(const std::vector<record::Record>& records, const RecognisedModel& model = TinyModel()) {
  const analytic::ModuleTree tree = analytic::BuildTree(model.model);
  attribution::Options options;
  options.resolve_range = [&tree](std::string_view range) {
    const auto node = tree.node_of_range.find(std::string(range));
    return attribution::RangeMeaning{
        node == tree.node_of_range.end() ? "" : tree.nodes[static_cast<size_t>(node->second)].id};
  };
  attribution::Attribution raw{{}};
  attribution::Attribution attribution(options);
  Translator translator(model, tree.node_of_range, [&](const record::Record& record) { attribution.Consume(record); });
  for (const record::Record& record : records) {
    raw.Consume(record);
    translator.Consume(record);
  }
  Observation observation = translator.Finish();
  return {raw.Finish(), attribution.Finish(), std::move(observation)};
}

const attribution::ModuleSum& SumOf(const Translated& translated, const std::string& id) {
  static const attribution::ModuleSum none;
  for (const attribution::ModuleSum& sum : translated.result.request.modules) {
    if (sum.module_id == id) {
      return sum;
    }
  }
  return none;
}

int64_t CallsOf(const Translated& translated, const std::string& id) {
  const auto resumed = translated.observation.resumed.find(id);
  return SumOf(translated, id).calls - (resumed == translated.observation.resumed.end() ? 0 : resumed->second);
}

TEST(TranslateTest, ModulesBecomeNodesAndCallsAreThoseOfTheTree) {
  RecordedJob job;
  Request(job, 128, 3);
  const Translated translated = Translate(job.records());
  EXPECT_EQ(CallsOf(translated, "deepseek_ocr"), 1);
  EXPECT_EQ(CallsOf(translated, "vision"), 1);
  EXPECT_EQ(CallsOf(translated, "vision/sam"), 1);
  EXPECT_EQ(CallsOf(translated, "vision/clip"), 1);
  EXPECT_EQ(CallsOf(translated, "projector"), 1);
  EXPECT_EQ(CallsOf(translated, "projector/linear"), 1);
  EXPECT_EQ(CallsOf(translated, "prefill"), 1);
  EXPECT_EQ(CallsOf(translated, "prefill/layer[0]"), 1);
  EXPECT_EQ(CallsOf(translated, "decode"), 3);
  EXPECT_EQ(CallsOf(translated, "decode/layer[1-2]/moe/experts"), 6) << "as many as the job calls";
  EXPECT_EQ(SumOf(translated, "vision/sam/block[0,2]/attn/qkv").device_ns, 40);
  EXPECT_EQ(SumOf(translated, "vision/sam/block[0,2]/attn").device_ns, 60);
  EXPECT_EQ(SumOf(translated, "vision").device_ns, 10 + 5 + 60 + 30 + 7);
  EXPECT_EQ(SumOf(translated, "prefill/layer[1-2]/moe").device_ns, 13);
  EXPECT_EQ(SumOf(translated, "prefill").self_device_ns, 1 + 9) << "the root's own and the model's own";
  EXPECT_EQ(SumOf(translated, "prefill").device_ns, 1 + 11 + 9 + 8 + 13 + 2 + 12);
  EXPECT_EQ(SumOf(translated, "decode").device_ns, 3 * (1 + 8 + 13 + 2 + 12));
}

TEST(TranslateTest, CropsAndThePageAreTwoCallsOfTheVisionAndOneOfTheProjector) {
  RecordedJob job;
  Request(job, 128, 0, 6);
  const Translated translated = Translate(job.records());
  EXPECT_EQ(CallsOf(translated, "vision"), 2);
  EXPECT_EQ(CallsOf(translated, "vision/sam"), 2);
  EXPECT_EQ(CallsOf(translated, "projector"), 1);
  EXPECT_EQ(CallsOf(translated, "projector/linear"), 2);
  EXPECT_EQ(CallsOf(translated, "prefill"), 1);
  EXPECT_THAT(
      translated.observation.requests,
      ElementsAre(Pair(ObservedRequest{.views = {{6, 160}, {1, 256}}, .batch = 1, .seq_len = 128, .steps = 0}, 1)));
}

TEST(TranslateTest, WhatRunsBetweenModulesOfTheVisionDoesNotMakeItTwoCalls) {
  RecordedJob job;
  job.Begin("DeepseekOCRForCausalLM", {1, 128});
  for (int view = 0; view < 3; ++view) {
    job.Run("model.sam_model", 10, {1, 3, 256, 256});
    job.Cpu(1);
    job.Run("model.vision_model", 20);
    job.Cpu(1);
    job.Run("model.projector", 5);
  }
  job.End();
  const Translated translated = Translate(job.records());
  EXPECT_EQ(CallsOf(translated, "vision"), 3);
  EXPECT_EQ(CallsOf(translated, "vision/clip"), 3);
  EXPECT_EQ(CallsOf(translated, "projector"), 1);
  EXPECT_EQ(CallsOf(translated, "prefill"), 1);
  EXPECT_EQ(SumOf(translated, "vision").device_ns, 90);
  EXPECT_EQ(SumOf(translated, "prefill").device_ns, 6);
}

TEST(TranslateTest, SumsAreThoseOfTheJob) {
  RecordedJob job;
  for (int i = 0; i < 5; ++i) {
    Request(job, 100 + 10 * (i % 2), i, i % 3);
  }
  const Translated translated = Translate(job.records());
  const attribution::RequestSum& raw = translated.raw.request;
  const attribution::RequestSum& sum = translated.result.request;
  EXPECT_EQ(sum.total_ns, raw.total_ns);
  EXPECT_EQ(sum.attributed_ns, raw.attributed_ns);
  EXPECT_EQ(sum.unattributed_ns, raw.unattributed_ns);
  EXPECT_EQ(sum.operations, raw.operations);
  EXPECT_EQ(translated.result.records_invalid, 0);
  for (const attribution::ModuleSum& module : sum.modules) {
    EXPECT_EQ(module.wall_ns, module.busy_ns + module.gap_ns) << module.module_id;
    EXPECT_GE(module.gap_ns, 0) << module.module_id;
  }
  EXPECT_EQ(translated.observation.requests.size(), 5);
  EXPECT_EQ(CallsOf(translated, "deepseek_ocr"), 5);
  EXPECT_EQ(CallsOf(translated, "prefill"), 5);
  EXPECT_EQ(CallsOf(translated, "decode"), 0 + 1 + 2 + 3 + 4);
}

TEST(TranslateTest, WallTimesOfAPassAreDividedAmongItsStages) {
  RecordedJob job;
  Request(job, 128, 0);
  const Translated translated = Translate(job.records());
  int64_t stages_ns = 0;
  for (const char* stage : {"vision", "projector", "prefill"}) {
    stages_ns += SumOf(translated, stage).wall_ns;
  }
  EXPECT_EQ(stages_ns, SumOf(translated, "deepseek_ocr").wall_ns);
}

TEST(TranslateTest, TheJobsPathsAreKept) {
  RecordedJob job;
  Request(job, 128, 1);
  const Translated translated = Translate(job.records());
  const auto& paths = translated.observation.job_paths;
  EXPECT_THAT(paths.at("deepseek_ocr"), ElementsAre("DeepseekOCRForCausalLM"));
  EXPECT_THAT(paths.at("prefill"), ElementsAre("model"));
  EXPECT_THAT(paths.at("decode/layer[1]/moe/experts"),
              ElementsAre("model.layers.1.mlp.experts.5", "model.layers.1.mlp.experts.7"));
  EXPECT_THAT(paths, Not(Contains(Key("decode/layer[0]/moe"))));
}

TEST(TranslateTest, ARecordingMayBeginAndEndInsideARequest) {
  RecordedJob whole;
  Request(whole, 128, 2);
  RecordedJob job;
  job.Begin("DeepseekOCRForCausalLM", {1, 1});
  job.Begin("model", {1, 1});
  Language(job);
  job.End();
  job.End();
  Request(job, 128, 2);
  job.Begin("DeepseekOCRForCausalLM", {1, 77});
  job.Begin("model", {1, 77});
  job.Run("model.embed_tokens", 11);
  const Translated translated = Translate(job.records());
  EXPECT_THAT(translated.observation.requests,
              testing::UnorderedElementsAre(
                  Pair(ObservedRequest{.views = {}, .batch = 1, .seq_len = 0, .steps = 1}, 1),
                  Pair(ObservedRequest{.views = {{1, 256}}, .batch = 1, .seq_len = 128, .steps = 2}, 1),
                  Pair(ObservedRequest{.views = {}, .batch = 1, .seq_len = 0, .steps = 0}, 1)));
  EXPECT_EQ(CallsOf(translated, "deepseek_ocr"), 3);
}

TEST(TranslateTest, WithoutShapesTheVisionTellsPrefillFromDecode) {
  RecordedJob job;
  job.Begin("DeepseekOCRForCausalLM");
  job.Begin("model");
  Vision(job, 1, 256);
  Language(job);
  job.End();
  job.End();
  job.Begin("DeepseekOCRForCausalLM");
  job.Begin("model");
  Language(job);
  job.End();
  job.End();
  const Translated translated = Translate(job.records());
  EXPECT_EQ(CallsOf(translated, "prefill"), 1);
  EXPECT_EQ(CallsOf(translated, "decode"), 1);
  EXPECT_EQ(SumOf(translated, "decode/layer[0]").device_ns, 8);
}

// Kernels come long after their calls. Those of the model itself, whose layers have no hooks here, run before the
// vision and after it; the vision's time is no gap of prefill.
TEST(TranslateTest, OperationsOfTheDeviceFindThePieceOfPrefillThatTheyAreOf) {
  RecordedJob job;
  const record::Owner root = job.Begin("DeepseekOCRForCausalLM", {1, 128});
  const record::Owner sam = job.Begin("model.sam_model", {1, 3, 256, 256});
  job.End();
  const record::Owner clip = job.Begin("model.vision_model");
  job.End();
  job.End();
  const record::Owner step = job.Begin("DeepseekOCRForCausalLM", {1, 1});
  job.End();
  const int64_t t = 2'000'000;
  job.Kernel(root, t, t + 10);
  job.Kernel(sam, t + 10, t + 500);
  job.Kernel(clip, t + 510, t + 900);
  job.Kernel(root, t + 900, t + 950);
  job.Kernel(root, t + 960, t + 1000);
  job.Kernel(step, t + 2000, t + 2100);
  job.Kernel(0, t + 2100, t + 2150);
  const Translated translated = Translate(job.records());
  EXPECT_EQ(SumOf(translated, "prefill").busy_ns, 100);
  EXPECT_EQ(SumOf(translated, "prefill").gap_ns, 10);
  EXPECT_EQ(SumOf(translated, "vision").busy_ns, 880);
  EXPECT_EQ(SumOf(translated, "vision").gap_ns, 10);
  EXPECT_EQ(SumOf(translated, "decode").busy_ns, 100);
  EXPECT_EQ(CallsOf(translated, "prefill"), 1);
  EXPECT_EQ(translated.result.request.unattributed_ns, 50);
  EXPECT_EQ(translated.result.request.attributed_ns, translated.raw.request.attributed_ns);
}

TEST(TranslateTest, OperationsOfAForgottenCallFindItsModule) {
  RecordedJob job;
  job.Begin("DeepseekOCRForCausalLM", {1, 128});
  const record::Owner old = job.Begin("model.norm");
  job.End();
  for (int i = 0; i < 1 << 17; ++i) {
    job.Begin("lm_head");
    job.End();
  }
  job.Kernel(old, 2'000'000, 2'000'100);
  job.End();
  const Translated translated = Translate(job.records());
  EXPECT_EQ(SumOf(translated, "decode/norm").device_ns, 100);
  EXPECT_EQ(translated.result.request.unattributed_ns, 0);
}

// vLLM's engine calls the towers and the embedding before the model, and the logits after it; tokens of all sequences
// lie behind each other.
void EnginePass(RecordedJob& job, uint32_t tokens) {
  job.Run("language_model.model.embed_tokens", 3, {tokens});
  job.Begin("DeepseekOCRForCausalLM", {tokens});
  for (const char* layer : {"language_model.model.layers.0", "language_model.model.layers.2"}) {
    job.Begin(layer, {tokens});
    job.Begin(std::string(layer) + ".self_attn");
    job.Run("language_model.model.layers.0.self_attn.rotary_emb", 5);
    job.End();
    job.End();
  }
  job.End();
  job.Cpu(2, "aten::index");
  job.Run("language_model.logits_processor", 7, {1, 80});
}

TEST(TranslateTest, WhatAnEngineCallsOutsideOfTheModelBelongsToThePassBesideIt) {
  const absl::StatusOr<RecognisedModel> model = Recognise(GoldenModules("vllm_names_job.tsv"), nullptr);
  ASSERT_TRUE(model.ok()) << model.status();
  RecordedJob job;
  for (int request = 0; request < 2; ++request) {
    job.Run("sam_model", 30, {1, 3, 128, 128});
    job.Run("vision_model", 20, {1, 3, 128, 128});
    job.Run("projector", 10);
    EnginePass(job, 24);
    EnginePass(job, 1);
    EnginePass(job, 1);
  }
  const Translated translated = Translate(job.records(), *model);
  EXPECT_THAT(translated.observation.requests,
              ElementsAre(Pair(ObservedRequest{.views = {{1, 128}}, .batch = 1, .seq_len = 24, .steps = 2}, 2)));
  EXPECT_EQ(CallsOf(translated, "deepseek_ocr"), 2);
  EXPECT_EQ(CallsOf(translated, "vision"), 2);
  EXPECT_EQ(CallsOf(translated, "prefill"), 2);
  EXPECT_EQ(CallsOf(translated, "decode"), 4);
  EXPECT_EQ(CallsOf(translated, "decode/lm_head"), 4);
  EXPECT_EQ(SumOf(translated, "prefill/embed_tokens").device_ns, 2 * 3);
  EXPECT_EQ(SumOf(translated, "decode/embed_tokens").device_ns, 4 * 3);
  EXPECT_EQ(SumOf(translated, "prefill/lm_head").device_ns, 2 * 7);
  EXPECT_EQ(SumOf(translated, "decode/lm_head").device_ns, 4 * 7);
  EXPECT_EQ(translated.result.request.unattributed_ns, 6 * 2) << "what is no module's";
}

TEST(TranslateTest, AModuleThatLayersShareIsPartOfTheOneThatCallsIt) {
  const absl::StatusOr<RecognisedModel> model = Recognise(GoldenModules("vllm_names_job.tsv"), nullptr);
  ASSERT_TRUE(model.ok()) << model.status();
  RecordedJob job;
  EnginePass(job, 24);
  const Translated translated = Translate(job.records(), *model);
  EXPECT_EQ(SumOf(translated, "prefill/layer[0]/self_attn/rope").device_ns, 5);
  EXPECT_EQ(SumOf(translated, "prefill/layer[1-2]/self_attn/rope").device_ns, 5);
  EXPECT_EQ(CallsOf(translated, "prefill/layer[0]"), 1);
}

TEST(TranslateTest, LostPushesAndPopsDoNotLoseTime) {
  RecordedJob job;
  for (int i = 0; i < 20; ++i) {
    Request(job, 128, 2, 2);
  }
  std::mt19937 random(1);
  for (int round = 0; round < 15; ++round) {
    std::vector<record::Record> records = job.records();
    const auto is_lost = [&](const record::Record& record) {
      return (record.kind == record::Kind::kRangePush || record.kind == record::Kind::kRangePop) && random() % 20 == 0;
    };
    records.erase(std::remove_if(records.begin(), records.end(), is_lost), records.end());
    const Translated translated = Translate(records);
    const attribution::RequestSum& raw = translated.raw.request;
    const attribution::RequestSum& sum = translated.result.request;
    ASSERT_EQ(sum.total_ns, raw.total_ns);
    ASSERT_EQ(sum.attributed_ns + sum.unattributed_ns, raw.attributed_ns + raw.unattributed_ns);
    ASSERT_EQ(sum.attributed_ns, raw.attributed_ns);
  }
}

// Whatever comes.
TEST(TranslateTest, HostileRecordsAreTranslatedOrDropped) {
  RecordedJob job;
  Request(job, 128, 2, 2);
  std::mt19937_64 random(1);
  for (int round = 0; round < 60; ++round) {
    std::vector<record::Record> records = job.records();
    for (int change = 0; change < 20; ++change) {
      record::Record& record = records[random() % records.size()];
      switch (random() % 4) {
        case 0:
          record.words[random() % 6] = random() >> random() % 64;
          break;
        case 1:
          record.kind = static_cast<record::Kind>(random() % (record::kLastKind + 2));
          break;
        case 2:
          record.thread = static_cast<uint32_t>(random() >> random() % 64);
          break;
        default:
          std::swap(record, records[random() % records.size()]);
      }
    }
    const Translated translated = Translate(records);
    int64_t self_ns = 0;
    for (const attribution::ModuleSum& module : translated.result.request.modules) {
      self_ns += module.self_device_ns;
    }
    ASSERT_EQ(self_ns, translated.result.request.attributed_ns);
  }
}

TEST(TranslateTest, RandomBytesAreRecordsToo) {
  std::mt19937_64 random(1);
  std::vector<record::Record> records(20'000);
  for (record::Record& record : records) {
    uint64_t bytes[7];
    for (uint64_t& word : bytes) {
      word = random();
    }
    std::memcpy(static_cast<void*>(&record), bytes, sizeof(record));
    record.kind = static_cast<record::Kind>(random() % (record::kLastKind + 1));
  }
  Translate(records);
}

}  // namespace
}  // namespace dsocr::attach
