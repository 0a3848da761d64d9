#include "daemon/attach/module_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "analytic/module/tree.h"

namespace dsocr::attach {
namespace {

using testing::AllOf;
using testing::HasSubstr;

bool AnyNode(const std::string&) { return true; }

std::string MessageOf(std::string_view text) {
  const absl::StatusOr<ModuleMap> map = ModuleMap::Parse(text, "my.map");
  return map.ok() ? "" : std::string(map.status().message());
}

TEST(ModuleMapTest, IndicesOfThePathAreThoseOfTheModule) {
  const ModuleMap map = *ModuleMap::Parse("a.{i}.b.{e}: x/y[{e}]/z[{i}]\n", "m");
  EXPECT_EQ(map.Find("a.3.b.14", AnyNode), "x/y[14]/z[3]");
  EXPECT_EQ(map.Find("a.x.b.14", AnyNode), "") << "an index is a number";
  EXPECT_EQ(map.Find("a.3.b", AnyNode), "");
  EXPECT_EQ(map.Find("a.3.b.14.c", AnyNode), "");
}

TEST(ModuleMapTest, StarsStandForOneWordOrForAllModulesBelow) {
  const ModuleMap map = *ModuleMap::Parse("a.*.c: vision\nexperts.**: projector\n.: deepseek_ocr\n", "m");
  EXPECT_EQ(map.Find("a.b.c", AnyNode), "vision");
  EXPECT_EQ(map.Find("a.c", AnyNode), "");
  EXPECT_EQ(map.Find("experts", AnyNode), "projector");
  EXPECT_EQ(map.Find("experts.0.up_proj", AnyNode), "projector");
  EXPECT_EQ(map.Find("", AnyNode), "deepseek_ocr");
}

TEST(ModuleMapTest, TheFirstLineWhoseModuleTheModelHasCounts) {
  const ModuleMap map = *ModuleMap::Parse("l.{i}.mlp: {phase}/layer[{i}]/mlp\nl.{i}.mlp: {phase}/layer[{i}]/moe", "m");
  const auto is_node = [](const std::string& id) {
    return id == "prefill/layer[0]/mlp" || id == "decode/layer[1]/moe";
  };
  EXPECT_EQ(map.Find("l.0.mlp", is_node), "{phase}/layer[0]/mlp");
  EXPECT_EQ(map.Find("l.1.mlp", is_node), "{phase}/layer[1]/moe");
  EXPECT_EQ(map.Find("l.2.mlp", is_node), "");
  EXPECT_EQ(InPhase("{phase}/layer[1]/moe", Phase::kDecode), "decode/layer[1]/moe");
}

TEST(ModuleMapTest, CommentsAndEmptyLinesAreNoModules) {
  const ModuleMap map = *ModuleMap::Parse("# mine\n\n  a : vision  # here\r\n", "m");
  EXPECT_EQ(map.Find("a", AnyNode), "vision");
}

TEST(ModuleMapTest, AnErrorNamesTheLineAndWhatStandsThere) {
  EXPECT_THAT(MessageOf("a: vision\nb vision\n"),
              AllOf(HasSubstr("'my.map'"), HasSubstr("line 2"), HasSubstr("'b vision'")));
  EXPECT_THAT(MessageOf("a..b: vision"), AllOf(HasSubstr("line 1"), HasSubstr("''")));
  EXPECT_THAT(MessageOf("a.**.b: vision"), HasSubstr("can only end a path"));
  EXPECT_THAT(MessageOf("a.{i}.{i}: vision"), HasSubstr("{i} stands twice"));
  EXPECT_THAT(MessageOf("a.{i}: vision/block[{j}]"), HasSubstr("{j} is not in the path"));
  EXPECT_THAT(MessageOf("a: vision/block[x]"), HasSubstr("'block[x]'"));
  EXPECT_THAT(MessageOf("a:"), HasSubstr("line 1"));
  EXPECT_THAT(MessageOf("# nothing\n"), HasSubstr("no line names a module"));
  EXPECT_THAT(MessageOf(std::string(ModuleMap::kMaxBytes + 1, 'a')), HasSubstr("bytes are more than"));
  std::string lines;
  for (size_t i = 0; i <= ModuleMap::kMaxLines; ++i) {
    lines += "a: vision\n";
  }
  EXPECT_THAT(MessageOf(lines), AllOf(HasSubstr("line 4097"), HasSubstr("over 4096")));
}

TEST(ModuleMapTest, ATargetThatTheModelLacksIsAnError) {
  const analytic::ModuleTree tree = analytic::BuildTree(analytic::ModelCatalogue()[0]);
  EXPECT_TRUE(ModuleMap::Parse("n.{i}: {phase}/layer[{i}]/moe/gate", "m")->CheckTargets(tree.node_of_range).ok());
  const absl::Status status = ModuleMap::Parse("a: vision\nn: vision/encoder", "m")->CheckTargets(tree.node_of_range);
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("line 2"), HasSubstr("'vision/encoder'")));
}

TEST(ModuleMapTest, EveryTargetOfABuiltInMapIsANode) {
  for (size_t i = 0; i < BuiltInMaps().size(); ++i) {
    const analytic::ModuleTree tree = analytic::BuildTree(analytic::ModelCatalogue()[i == 1 ? 1 : 0]);
    const absl::Status status = BuiltInMaps()[i].CheckTargets(tree.node_of_range);
    EXPECT_TRUE(status.ok()) << status.message();
  }
}

TEST(ModuleMapTest, HostileTextIsAMapOrAnError) {
  std::mt19937 random(1);
  const std::string letters = "ab.{}i[]*:/#\n 0\x01\xff";
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (size_t i = random() % 40; i > 0; --i) {
      text += letters[random() % letters.size()];
    }
    if (const absl::StatusOr<ModuleMap> map = ModuleMap::Parse(text, "m"); map.ok()) {
      map->Find("a.0.b", AnyNode);
      map->Find(text, AnyNode);
    } else {
      EXPECT_THAT(std::string(map.status().message()), testing::StartsWith("module map 'm': "));
    }
  }
}

}  // namespace
}  // namespace dsocr::attach
