#include "analytic/module/tree.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "analytic/module/builder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/analytic/models.h"

namespace dsocr::analytic {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::Not;

std::vector<std::string> Ids(const ModuleTree& tree) {
  std::vector<std::string> ids;
  for (const Node& node : tree.nodes) {
    ids.push_back(node.id);
  }
  return ids;
}

int64_t Parameters(const ModuleTree& tree) {
  int64_t sum = 0;
  for (const Node& node : tree.nodes) {
    sum += node.owns_weights ? node.spec.parameters * node.instances : 0;
  }
  return sum;
}

TEST(GroupName, WritesRunsJoinedByCommas) {
  EXPECT_EQ(GroupName("block", {0, 1, 3, 4, 6, 7, 9, 10}), "block[0-1,3-4,6-7,9-10]");
  EXPECT_EQ(GroupName("block", {2, 5, 8, 11}), "block[2,5,8,11]");
  EXPECT_EQ(GroupName("layer", {0}), "layer[0]");
  EXPECT_EQ(GroupName("layer", {0, 1, 2}), "layer[0-2]");
}

TEST(GroupLayers, KeepsTheOrderOfFirstAppearance) {
  const std::vector<LayerGroup> groups = GroupLayers({1, 0, 0, 1});
  ASSERT_EQ(groups.size(), 2);
  EXPECT_EQ(groups[0].kind, 1);
  EXPECT_THAT(groups[0].indices, ElementsAre(0, 3));
  EXPECT_THAT(groups[1].indices, ElementsAre(1, 2));
}

std::vector<std::string> GoldenIds(const std::string& name) {
  std::ifstream file(DSOCR_SOURCE_DIR "/tests/golden/" + name);
  std::vector<std::string> golden;
  for (std::string line; std::getline(file, line);) {
    golden.push_back(line);
  }
  return golden;
}

TEST(ModuleTree, HasTheGoldenIdsInOrder) {
  EXPECT_THAT(Ids(BuildTree(ModelCatalogue()[0])), ElementsAreArray(GoldenIds("module_ids.txt")));
  EXPECT_THAT(Ids(BuildTree(ModelCatalogue()[1])), ElementsAreArray(GoldenIds("module_ids_ocr2.txt")));
}

TEST(ModuleTree, OfTheSecondModelDiffersInTheEncoderAndTheProjectorAlone) {
  const auto others = [](const ModelSpec& model) {
    std::vector<std::string> ids = Ids(BuildTree(model));
    std::erase_if(ids, [](const std::string& id) {
      return id.starts_with("vision/clip") || id.starts_with("vision/encoder") || id.starts_with("projector/linear/");
    });
    return ids;
  };
  EXPECT_EQ(others(ModelCatalogue()[0]), others(ModelCatalogue()[1]));
}

TEST(ModuleTree, ParentsChildrenAndOrderAgree) {
  for (const ModelSpec& model : {ModelCatalogue()[0], ModelCatalogue()[1], TinyA(), TinyB()}) {
    const ModuleTree tree = BuildTree(model);
    std::set<std::string> seen;
    for (size_t i = 0; i < tree.nodes.size(); ++i) {
      const Node& node = tree.nodes[i];
      EXPECT_TRUE(seen.insert(node.id).second) << node.id;
      EXPECT_EQ(node.parent < 0, i == 0);
      EXPECT_LT(node.parent, static_cast<int>(i));
      EXPECT_EQ(node.is_leaf(), !node.spec.operators.empty()) << node.id;
      EXPECT_FALSE(node.spec.qualified_class_name.empty()) << node.id;
      for (const int child : node.children) {
        EXPECT_EQ(tree.nodes[child].parent, static_cast<int>(i));
      }
      if (node.parent >= 0) {
        EXPECT_THAT(tree.nodes[node.parent].children, Contains(static_cast<int>(i)));
      }
    }
  }
}

TEST(ModuleTree, EveryInstanceNameLeadsToItsNode) {
  const ModuleTree tree = BuildTree(ModelSpec());
  const auto id_of = [&](const char* range) { return tree.nodes[tree.node_of_range.at(range)].id; };
  EXPECT_EQ(id_of("vision/sam/block[7]/mlp/lin1"), "vision/sam/block[0-1,3-4,6-7,9-10]/mlp/lin1");
  EXPECT_EQ(id_of("vision/sam/block[5]"), "vision/sam/block[2,5,8,11]");
  EXPECT_EQ(id_of("vision/clip/layer[23]/self_attn/core"), "vision/clip/layer[0-23]/self_attn/core");
  EXPECT_EQ(id_of("prefill/layer[7]/moe/gate"), "prefill/layer[1-11]/moe/gate");
  EXPECT_EQ(id_of("decode/layer[0]/mlp/act"), "decode/layer[0]/mlp/act");
  EXPECT_EQ(id_of("deepseek_ocr"), "deepseek_ocr");
  for (size_t i = 0; i < tree.nodes.size(); ++i) {
    EXPECT_EQ(tree.node_of_range.at(tree.nodes[i].id), static_cast<int>(i));
  }
  // 12 blocks, 24 layers, 2 x 12 layers, and what stands outside of groups.
  int64_t instances = 0;
  int64_t groups = 0;
  for (const Node& node : tree.nodes) {
    instances += node.instances;
    groups += node.instances > 1 ? 1 : 0;
  }
  EXPECT_EQ(static_cast<int64_t>(tree.node_of_range.size()), instances + groups);
}

TEST(ModuleTree, GroupsFollowTheConfiguration) {
  const std::vector<std::string> a = Ids(BuildTree(TinyA()));
  EXPECT_THAT(a, Contains("vision/sam/block[0,2]/attn/core"));
  EXPECT_THAT(a, Contains("vision/sam/block[1,3]/attn/core"));
  EXPECT_THAT(a, Contains("prefill/layer[1-2]/moe/experts"));
  const std::vector<std::string> b = Ids(BuildTree(TinyB()));
  EXPECT_THAT(b, Contains("vision/sam/block[0-1]/window_partition"));
  EXPECT_THAT(b, Contains("vision/sam/block[2]/attn"));
  EXPECT_THAT(b, Not(Contains("vision/sam/block[2]/window_partition")));

  ModelSpec all_global = TinyA();
  all_global.sam.global_attention_layers = {3, 2, 1, 0, 0, 99};
  EXPECT_THAT(Ids(BuildTree(all_global)), Contains("vision/sam/block[0-3]/attn"));
  ModelSpec dense = TinyA();
  dense.decoder.first_k_dense = 3;
  EXPECT_THAT(Ids(BuildTree(dense)), Contains("decode/layer[0-2]/mlp/down_proj"));
}

TEST(ModuleTree, ParametersOfTheFixturesAreThoseOfTheirWeights) {
  EXPECT_EQ(Parameters(BuildTree(ModelCatalogue()[0])), 3'336'106'240);
  EXPECT_EQ(Parameters(BuildTree(ModelCatalogue()[1])), 3'389'119'360);
  EXPECT_EQ(Parameters(BuildTree(TinyA())), 704'912);
  EXPECT_EQ(Parameters(BuildTree(TinyB())), 916'360);
}

TEST(ModuleTree, RepetitionIsThatOfGroupsDecodeAndExperts) {
  const ModuleTree tree = BuildTree(ModelSpec());
  for (const Node& node : tree.nodes) {
    const bool is_group = node.spec.name.ends_with(']');
    if (node.spec.name == "experts") {
      EXPECT_EQ(node.spec.repetition, Repetition::kParfor);
      EXPECT_EQ(node.spec.repetition_count, 64);
    } else {
      EXPECT_EQ(node.spec.repetition, is_group || node.id == "decode" ? Repetition::kFor : Repetition::kNone)
          << node.id;
    }
    if (is_group) {
      EXPECT_EQ(node.spec.repetition_count, node.instances) << node.id;
    }
  }
}

TEST(ModuleTree, LinearsOverOneRowAreGemv) {
  for (const Node& node : BuildTree(ModelSpec()).nodes) {
    for (const LeafOperator& leaf_operator : node.spec.operators) {
      if (node.stage == Stage::kDecode || node.id == "prefill/lm_head") {
        EXPECT_NE(leaf_operator.category, CategoryId::kGemm) << node.id;
      } else {
        EXPECT_NE(leaf_operator.category, CategoryId::kGemv) << node.id;
      }
    }
    if (node.is_leaf() && node.spec.name != "experts") {
      EXPECT_EQ(node.spec.operators.size(), 1) << node.id;
    }
  }
}

TEST(Frames, DecodeStandsAtItsMeanContext) {
  Workload workload = *FindWorkload("dsocr-standard-v1");
  const auto decode = [&](int64_t new_tokens) {
    workload.max_new_tokens = new_tokens;
    return FramesOf(ModelSpec(), workload).Of(FrameSet::kDecode);
  };
  EXPECT_TRUE(decode(1).empty());
  const std::vector<Frame> odd = decode(4);  // contexts 512, 513, 514
  ASSERT_EQ(odd.size(), 1);
  EXPECT_EQ(odd[0].passes, 3);
  EXPECT_EQ(odd[0].keys, 514);
  const std::vector<Frame> even = decode(3);  // contexts 512, 513
  ASSERT_EQ(even.size(), 2);
  EXPECT_EQ(even[0].passes, 1);
  EXPECT_EQ(even[0].keys, 513);
  EXPECT_EQ(even[1].keys, 514);
}

}  // namespace
}  // namespace dsocr::analytic
