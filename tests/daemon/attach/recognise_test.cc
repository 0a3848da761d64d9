#include "daemon/attach/recognise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <variant>

#include "analytic/module/tree.h"
#include "tests/daemon/attach/job_modules.h"

namespace dsocr::attach {
namespace {

using attribution::JobModule;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

std::vector<JobModule> Published() { return GoldenModules("published_tiny_a.tsv"); }

JobModule& At(std::vector<JobModule>& modules, const std::string& path) {
  return *std::find_if(modules.begin(), modules.end(), [&](const JobModule& module) { return module.path == path; });
}

// tests/golden/fixtures/tiny_a/config.json
TEST(RecogniseTest, SizesAreReadFromTheWeightsOfThePublishedModules) {
  const absl::StatusOr<RecognisedModel> found = Recognise(Published(), nullptr);
  ASSERT_TRUE(found.ok()) << found.status().message();
  const analytic::ModelSpec& model = found->model;
  EXPECT_EQ(model.variant, "deepseek-ocr-v1-base");
  EXPECT_EQ(model.sam.layers, 4);
  EXPECT_EQ(model.sam.width, 48);
  EXPECT_EQ(model.sam.heads, 3);
  EXPECT_EQ(model.sam.mlp_ratio, 4);
  EXPECT_EQ(model.sam.image_size, 256);
  EXPECT_EQ(model.sam.patch_size, 16);
  EXPECT_THAT(model.sam.global_attention_layers, ElementsAre(1, 3));
  EXPECT_EQ(model.sam.neck_channels, 24);
  EXPECT_THAT(model.sam.downsample_channels, ElementsAre(40, 64));
  const auto& clip = std::get<analytic::ClipSpec>(model.encoder);
  EXPECT_EQ(clip.layers, 3);
  EXPECT_EQ(clip.width, 64);
  EXPECT_EQ(clip.ffn_hidden_size, 256);
  EXPECT_EQ(clip.image_size, 56);
  EXPECT_EQ(clip.patch_size, 14);
  EXPECT_EQ(model.decoder.vocab_size, 512);
  EXPECT_EQ(model.decoder.hidden_size, 64);
  EXPECT_EQ(model.decoder.intermediate_size, 176);
  EXPECT_EQ(model.decoder.moe_intermediate_size, 40);
  EXPECT_EQ(model.decoder.layers, 3);
  EXPECT_EQ(model.decoder.first_k_dense, 1);
  EXPECT_EQ(model.decoder.routed_experts, 8);
  EXPECT_EQ(model.decoder.shared_experts, 2);
  EXPECT_THAT(found->remarks, SizeIs(1)) << "the parameters add up";
}

// tests/golden/job_modules/make.py
TEST(RecogniseTest, SizesAreReadFromTheWeightsOfTransformers) {
  const absl::StatusOr<RecognisedModel> found = Recognise(GoldenModules("transformers_ocr2_tiny.tsv"), nullptr);
  ASSERT_TRUE(found.ok()) << found.status().message();
  const analytic::ModelSpec& model = found->model;
  EXPECT_EQ(model.variant, "deepseek-ocr-v2");
  EXPECT_EQ(model.sam.heads, 3);
  EXPECT_THAT(model.sam.global_attention_layers, ElementsAre(1, 3));
  const auto& encoder = std::get<analytic::QueryEncoderSpec>(model.encoder);
  EXPECT_EQ(encoder.layers, 3);
  EXPECT_EQ(encoder.width, 128);
  EXPECT_EQ(encoder.heads, 2);
  EXPECT_EQ(encoder.kv_heads, 1);
  EXPECT_EQ(encoder.ffn_hidden_size, 160);
  EXPECT_THAT(encoder.query_tables, ElementsAre(144, 256));
  EXPECT_EQ(model.decoder.heads, 2);
  EXPECT_EQ(model.decoder.moe_intermediate_size, 40) << "of stacked experts";
  EXPECT_THAT(found->remarks, SizeIs(1)) << "the parameters add up";
}

// tests/jobs/vllm_names_job.py
TEST(RecogniseTest, SizesAreReadFromTheFusedWeightsOfVllm) {
  const absl::StatusOr<RecognisedModel> found = Recognise(GoldenModules("vllm_names_job.tsv"), nullptr);
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_EQ(found->map.name(), "vllm deepseek-ocr");
  const analytic::ModelSpec& model = found->model;
  EXPECT_EQ(model.variant, "deepseek-ocr-v1-base");
  EXPECT_EQ(model.sam.layers, 3);
  EXPECT_EQ(model.sam.window_size, 3);
  EXPECT_EQ(std::get<analytic::ClipSpec>(model.encoder).layers, 2);
  EXPECT_EQ(model.decoder.hidden_size, 80);
  EXPECT_EQ(model.decoder.intermediate_size, 160);
  EXPECT_EQ(model.decoder.first_k_dense, 1);
  EXPECT_EQ(model.decoder.routed_experts, 8);
  EXPECT_EQ(model.decoder.moe_intermediate_size, 48) << "of stacked experts";
  EXPECT_EQ(model.decoder.shared_experts, 2);
  EXPECT_EQ(model.decoder.kv_heads, model.decoder.heads) << "of a fused projection";
  EXPECT_THAT(found->remarks, SizeIs(1)) << "the parameters add up";
}

TEST(RecogniseTest, WindowsAreReadFromTheTablesOfRelativePositions) {
  std::vector<JobModule> modules = Published();
  for (const int block : {0, 2}) {  // 16 wide
    At(modules, "model.sam_model.blocks." + std::to_string(block) + ".attn").parameters = 2 * (2 * 3 - 1) * 16;
  }
  const absl::StatusOr<RecognisedModel> found = Recognise(modules, nullptr);
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_EQ(found->model.sam.window_size, 3);
  EXPECT_EQ(found->model.sam.heads, 3);
  EXPECT_THAT(found->model.sam.global_attention_layers, ElementsAre(1, 3));
  EXPECT_THAT(found->remarks, SizeIs(1)) << "the parameters add up";
}

// tests/analytic/module/tree_test.cc holds the tree of which these are nodes.
TEST(RecogniseTest, EveryModuleOfThePublishedCodeStandsForItsNode) {
  const RecognisedModel model = *Recognise(Published(), nullptr);
  const analytic::ModuleTree tree = analytic::BuildTree(model.model);
  const auto is_node = [&](const std::string& id) { return tree.node_of_range.contains(id); };
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"", "deepseek_ocr"},
      {"model", "{phase}"},
      {"model.embed_tokens", "{phase}/embed_tokens"},
      {"model.layers.0.mlp", "{phase}/layer[0]/mlp"},
      {"model.layers.0.mlp.act_fn", "{phase}/layer[0]/mlp/act"},
      {"model.layers.2.mlp", "{phase}/layer[2]/moe"},
      {"model.layers.2.mlp.gate", "{phase}/layer[2]/moe/gate"},
      {"model.layers.2.mlp.experts.7.up_proj", "{phase}/layer[2]/moe/experts"},
      {"model.layers.2.mlp.shared_experts.act_fn", "{phase}/layer[2]/moe/shared_experts/act"},
      {"model.layers.1.self_attn.rotary_emb", "{phase}/layer[1]/self_attn/rope"},
      {"model.norm", "{phase}/norm"},
      {"lm_head", "{phase}/lm_head"},
      {"model.projector.layers", "projector/linear/matmul"},
      {"model.sam_model.patch_embed.proj", "vision/sam/patch_embed"},
      {"model.sam_model.blocks.3.mlp.lin2", "vision/sam/block[3]/mlp/lin2"},
      {"model.sam_model.neck.3", "vision/sam/neck/norm2"},
      {"model.vision_model.embeddings.position_embedding", "vision/clip/embeddings/add"},
      {"model.vision_model.transformer.layers.1.self_attn.out_proj", "vision/clip/layer[1]/self_attn/out_proj"},
  };
  for (const auto& [path, id] : expected) {
    EXPECT_EQ(model.map.Find(path, is_node), id) << path;
  }
  // All but lists, which nobody calls, and CLIP's transformer, which is its layers.
  for (const JobModule& module : Published()) {
    const bool is_list = module.type == "torch.nn.ModuleList" || module.path == "model.vision_model.transformer";
    EXPECT_EQ(model.map.Find(module.path, is_node).empty(), is_list) << module.path;
  }
}

TEST(RecogniseTest, NoWeightStaysWithoutANode) {
  for (const char* golden : {"published_tiny_a.tsv", "transformers_ocr2_tiny.tsv"}) {
    const std::vector<JobModule> modules = GoldenModules(golden);
    const absl::StatusOr<RecognisedModel> found = Recognise(modules, nullptr);
    ASSERT_TRUE(found.ok()) << found.status().message();
    const analytic::ModuleTree tree = analytic::BuildTree(found->model);
    const auto is_node = [&](const std::string& id) { return tree.node_of_range.contains(id); };
    for (const JobModule& module : modules) {
      if (!module.weight_shape.empty()) {
        EXPECT_NE(found->map.Find(module.path, is_node), "") << module.path;
      }
    }
    EXPECT_EQ(found->map.Find("", is_node), "deepseek_ocr");
  }
}

TEST(RecogniseTest, TheModelMayStandInsideAnother) {
  std::vector<JobModule> modules = {{.path = "", .type = "service.Reader"}, {.path = "ocr", .type = "torch.nn.Module"}};
  for (JobModule& module : Published()) {
    if (!module.path.empty()) {
      module.path = "ocr." + module.path;
      modules.push_back(module);
    }
  }
  const absl::StatusOr<RecognisedModel> found = Recognise(modules, nullptr);
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_EQ(found->PathOf("ocr"), "");
  EXPECT_EQ(found->PathOf("ocr.lm_head"), "lm_head");
  EXPECT_EQ(found->PathOf("service.Reader"), std::nullopt);
  EXPECT_EQ(found->PathOf("lm_head"), std::nullopt);
}

TEST(RecogniseTest, ARangeOfALaterRootBearsItsName) {
  const RecognisedModel model{.map = BuiltInMaps()[0], .root_name = "pkg.Ocr"};
  EXPECT_EQ(model.PathOf("pkg.Ocr"), "");
  EXPECT_EQ(model.PathOf("Ocr"), "");
  EXPECT_EQ(model.PathOf("model.norm"), "model.norm");
  EXPECT_EQ(model.PathOf("Ocr:model.norm"), "model.norm");
  EXPECT_EQ(model.PathOf("Draft:model.norm"), std::nullopt);
  EXPECT_EQ(model.PathOf("pkg.Ocr~2"), "pkg.Ocr~2") << "no module of the model has such a path";
  EXPECT_EQ(model.PathOf("pkg.Ocr~2:model.norm"), std::nullopt);
}

TEST(RecogniseTest, OfTwoRootsOfOneClassEachHasItsOwnRanges) {
  std::vector<JobModule> modules = {{.path = "", .type = "modeling_deepseekocr.DeepseekOCRForCausalLM"},
                                    {.path = "draft", .type = "torch.nn.Linear"}};
  for (JobModule& module : Published()) {
    module.root = 1;
    modules.push_back(module);
  }
  const absl::StatusOr<RecognisedModel> found = Recognise(modules, nullptr);
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_EQ(found->root_name, "modeling_deepseekocr.DeepseekOCRForCausalLM~2");
  EXPECT_EQ(found->PathOf("modeling_deepseekocr.DeepseekOCRForCausalLM~2"), "");
  EXPECT_EQ(found->PathOf("modeling_deepseekocr.DeepseekOCRForCausalLM~2:model.norm"), "model.norm");
  EXPECT_EQ(found->PathOf("modeling_deepseekocr.DeepseekOCRForCausalLM"), std::nullopt);
  EXPECT_EQ(found->PathOf("draft"), std::nullopt);
}

TEST(RecogniseTest, WhatIsMissingIsSaid) {
  EXPECT_THAT(std::string(Recognise({}, nullptr).status().message()), HasSubstr("told no modules"));
  EXPECT_THAT(std::string(Recognise({{.path = "fc", .type = "torch.nn.Linear"}}, nullptr).status().message()),
              HasSubstr("no module of the job is named as its embedding is"));
  std::vector<JobModule> modules = Published();
  At(modules, "model.sam_model.net_2").weight_shape.clear();
  const absl::Status status = Recognise(modules, nullptr).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("vision/sam/net_2 has no weight"));
}

TEST(RecogniseTest, ParametersThatDoNotAddUpAreSaid) {
  std::vector<JobModule> modules = Published();
  At(modules, "lm_head").parameters += 7;
  EXPECT_THAT(Recognise(modules, nullptr)->remarks[1], HasSubstr("parameters, not the"));
}

TEST(RecogniseTest, AUsersMapIsTheOnlyOneThatCounts) {
  const ModuleMap own = *ModuleMap::Parse("wte: {phase}/embed_tokens\n", "own");
  EXPECT_EQ(Recognise(Published(), &own).status().code(), absl::StatusCode::kNotFound);
}

TEST(RecogniseTest, HostileModulesAreRecognisedOrRefused) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<JobModule> modules =
        GoldenModules(round % 2 == 0 ? "published_tiny_a.tsv" : "transformers_ocr2_tiny.tsv");
    for (int change = 0; change < 4; ++change) {
      JobModule& module = modules[random() % modules.size()];
      module.parameters = random() >> random() % 64;
      for (uint32_t& size : module.weight_shape) {
        size = random() % 4 == 0 ? static_cast<uint32_t>(random() >> random() % 64) : size;
      }
      if (random() % 4 == 0) {
        module.weight_shape.resize(random() % 5);
      }
    }
    Recognise(modules, nullptr).IgnoreError();
  }
}

}  // namespace
}  // namespace dsocr::attach
