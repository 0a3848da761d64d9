#include "model/trace/module_list.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/model/tiny_model.h"

namespace dsocr::model {
namespace {

TEST(ListModulesTest, HoldsEveryParameterOnce) {
  const std::vector<PublishedModule> modules = ListModules(ModelConfig());
  int64_t own = 0;
  for (const PublishedModule& module : modules) own += module.own_parameters;
  EXPECT_EQ(own, 3'336'106'240);
  EXPECT_EQ(modules.front().parameters, own);
  EXPECT_EQ(modules.front().class_name(), "DeepseekOCRForCausalLM");
}

TEST(ListModulesTest, ParentsComeBeforeTheirChildrenAndPathsAreUnique) {
  const std::vector<PublishedModule> modules = ListModules(TinyConfig());
  std::set<std::string> paths;
  for (size_t i = 0; i < modules.size(); ++i) {
    EXPECT_LT(modules[i].parent, static_cast<int>(i));
    EXPECT_TRUE(paths.insert(modules[i].path).second) << modules[i].path;
  }
}

TEST(ListModulesTest, NamesClassesAndRangesOfThePublishedModel) {
  std::map<std::string, PublishedModule> by_path;
  for (const PublishedModule& module : ListModules(ModelConfig())) by_path[module.path] = module;
  const auto expect = [&](const char* path, const char* qualified_class, const char* range) {
    EXPECT_EQ(by_path[path].qualified_class, qualified_class) << path;
    EXPECT_EQ(by_path[path].range, range) << path;
  };
  expect("model.sam_model.blocks.7.attn.qkv", "torch.nn.modules.linear.Linear", "vision/sam/block[7]/attn/qkv");
  expect("model.sam_model.neck.1", "deepencoder.LayerNorm2d", "vision/sam/neck/norm1");
  expect("model.sam_model.patch_embed.proj", "torch.nn.modules.conv.Conv2d", "vision/sam/patch_embed");
  expect("model.vision_model.transformer.layers.23.mlp", "deepencoder.NoTPFeedForward", "vision/clip/layer[23]/mlp");
  expect("model.layers.0.mlp", "modeling_deepseekv2.DeepseekV2MLP", "prefill/layer[0]/mlp");
  expect("model.layers.1.mlp", "modeling_deepseekv2.DeepseekV2MoE", "prefill/layer[1]/moe");
  expect("model.layers.1.mlp.gate", "modeling_deepseekv2.MoEGate", "prefill/layer[1]/moe/gate");
  expect("model.layers.1.mlp.experts.63.act_fn", "torch.nn.modules.activation.SiLU", "");
  expect("lm_head", "torch.nn.modules.linear.Linear", "prefill/lm_head");
  EXPECT_EQ(by_path["model.sam_model.net_2"].kernel, (std::vector<int64_t>{3, 3}));
  EXPECT_EQ(SourceFileOf("torch.nn.modules.linear.Linear"), "torch/nn/modules/linear.py");
}

}  // namespace
}  // namespace dsocr::model
