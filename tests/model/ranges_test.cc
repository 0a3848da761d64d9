// Holds the ranges of a real request to the module tree: names, nesting, and how often each is entered.
#include "model/ranges.h"

#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <fstream>
#include <optional>
#include <regex>
#include <set>

#include "model/device.h"
#include "model/generate.h"
#include "model/load.h"
#include "model/static_decoder.h"
#include "model/synthetic.h"
#include "tests/model/nvtx_recorder.h"
#include "tests/model/tiny_model.h"

namespace dsocr::model {
namespace {

constexpr int kNewTokens = 3;

// "prefill/layer[1-11]/moe" and "prefill/layer[7]/moe" -> "prefill/layer[]/moe".
std::string WithoutIndex(const std::string& id) { return std::regex_replace(id, std::regex(R"(\[[^\]]*\])"), "[]"); }

// Ids of the tree for the published configuration, indices taken out: a layer's contents are the same at any size.
std::set<std::string> TreeIds() {
  std::ifstream file(std::string(DSOCR_SOURCE_DIR) + "/tests/golden/module_ids.txt");
  std::set<std::string> ids;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line[0] != '#') ids.insert(WithoutIndex(line));
  }
  return ids;
}

enum class DecodeMode { kEager, kStatic };

// One request of the tiny model over a page of this size: 500x380 has crops, 100x100 has none.
const RecordedRanges& RangesOfRequest(Size page, DecodeMode mode = DecodeMode::kEager) {
  const c10::InferenceMode inference;
  const ModelConfig config = TinyConfig();
  const LoadedModel loaded = LoadModel(config, std::nullopt, /*seed=*/1, at::kFloat, at::kCPU);
  const TokenLayout layout = LayoutTokens(page, config.preprocess);
  const Request request =
      loaded.model->Prepare(MakeViews(SyntheticPage(page), config.preprocess),
                            SyntheticPrompt(config, layout.image_tokens(), layout.image_tokens() + 8));
  KvCache cache = loaded.model->MakeCache(static_cast<int64_t>(request.ids.size()) + kNewTokens);
  std::optional<StaticDecoder> static_decoder;
  if (mode == DecodeMode::kStatic) static_decoder.emplace(*loaded.model, cache);
  const Generator generator(*loaded.model);
  StartRecordingRanges();
  generator.Run(request, cache,
                {.max_new_tokens = kNewTokens, .static_decoder = static_decoder ? &*static_decoder : nullptr});
  return RangesSeen();
}

TEST(RangesTest, EveryRangeNamesANodeAndEveryNodeThatRunsHasARange) {
  const std::set<std::string> tree = TreeIds();
  ASSERT_FALSE(tree.empty());
  std::set<std::string> seen;
  for (const auto& [name, calls] : RangesOfRequest({500, 380}).calls) seen.insert(WithoutIndex(name));
  for (const std::string& id : seen) EXPECT_TRUE(tree.contains(id)) << id << " is not in the tree";
  for (const std::string& id : tree) {
    if (id == "vision/clip/embeddings/patch_embedding") continue;  // never executed
    EXPECT_TRUE(seen.contains(id)) << id << " did not run";
  }
}

TEST(RangesTest, EveryRangeLiesDirectlyInItsParentNode) {
  const RecordedRanges& ranges = RangesOfRequest({500, 380});
  EXPECT_EQ(ranges.open, 0);
  for (const auto& [name, parent] : ranges.parent) {
    const size_t slash = name.rfind('/');
    const std::string expected = name == "deepseek_ocr"       ? ""
                                 : slash == std::string::npos ? "deepseek_ocr"
                                                              : name.substr(0, slash);
    EXPECT_EQ(parent, expected) << name;
  }
}

TEST(RangesTest, VisionIsEnteredOnceAViewGroup) {
  std::map<std::string, int> with_crops = RangesOfRequest({500, 380}).calls;
  EXPECT_EQ(with_crops["vision"], 2);
  EXPECT_EQ(with_crops["vision/sam/block[0]/attn/core"], 2);
  EXPECT_EQ(with_crops["projector"], 1);
  EXPECT_EQ(with_crops["projector/linear"], 2);
  EXPECT_EQ(with_crops["projector/assemble"], 1);
  std::map<std::string, int> without_crops = RangesOfRequest({100, 100}).calls;
  EXPECT_EQ(without_crops["vision"], 1);
  EXPECT_EQ(without_crops["projector/linear"], 1);
}

TEST(RangesTest, PrefillMakesTheFirstTokenAndDecodeTheOthers) {
  std::map<std::string, int> calls = RangesOfRequest({100, 100}).calls;
  EXPECT_EQ(calls["deepseek_ocr"], 1);
  EXPECT_EQ(calls["prefill"], 1);
  EXPECT_EQ(calls["prefill/sample"], 1);
  EXPECT_EQ(calls["decode"], kNewTokens - 1);
  EXPECT_EQ(calls["decode/layer[1]/moe/experts"], kNewTokens - 1);
}

// What a graph learns of its nodes while it is captured.
TEST(RangesTest, StaticDecodeStepsPushTheSameRangesButSortNoExperts) {
  std::map<std::string, int> expected = RangesOfRequest({100, 100}).calls;
  std::erase_if(expected, [](const auto& range) {
    return range.first.starts_with("decode/") && range.first.ends_with("/moe/dispatch");
  });
  const RecordedRanges& ranges = RangesOfRequest({100, 100}, DecodeMode::kStatic);
  EXPECT_EQ(ranges.calls, expected);
  EXPECT_EQ(ranges.open, 0);
}

}  // namespace
}  // namespace dsocr::model
