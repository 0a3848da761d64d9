// Holds the census to the runner: the operators that every leaf dispatches, by name, over models of other widths, views
// of other sizes, prompts of other lengths, in fp32 and bf16.
#include "analytic/census.h"

#include <ATen/record_function.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "model/generate.h"
#include "model/load.h"
#include "model/synthetic.h"
#include "tests/model/predicted_case.h"
#include "tests/model/tiny_model.h"

namespace dsocr::model {
namespace {

// The outermost operators of one request, as a profiler hears them: by the innermost range around each.
class OperatorLog : public RangeObserver {
 public:
  OperatorLog() {
    log_ = this;
    range_observer = this;
    callback_ =
        at::addThreadLocalCallback(at::RecordFunctionCallback(OnStart, OnEnd).scopes({at::RecordScope::FUNCTION}));
  }
  ~OperatorLog() override {
    at::removeCallback(callback_);
    range_observer = nullptr;
  }
  OperatorLog(const OperatorLog&) = delete;
  OperatorLog& operator=(const OperatorLog&) = delete;

  void Enter(const RangeName& name) override { open_.push_back(name.id()); }
  void Leave() override { open_.pop_back(); }

  // "aten::mm" under "prefill/layer[0]/mlp/gate_proj" is "mm".
  const std::map<std::string, std::vector<std::string>>& by_range() const { return by_range_; }

 private:
  static std::unique_ptr<at::ObserverContext> OnStart(const at::RecordFunction& call) {
    if (log_->depth_++ == 0 && !log_->open_.empty()) {
      const std::string name = call.name();
      log_->by_range_[log_->open_.back()].push_back(name.substr(name.rfind(':') + 1));
    }
    return nullptr;
  }
  static void OnEnd(const at::RecordFunction&, at::ObserverContext*) { --log_->depth_; }

  static inline thread_local OperatorLog* log_ = nullptr;
  at::CallbackHandle callback_ = 0;
  std::vector<std::string> open_;
  std::map<std::string, std::vector<std::string>> by_range_;
  int depth_ = 0;
};

using OperatorsOfModule = std::map<std::string, std::vector<std::string>>;

// By module id, over the whole request, in alphabetical order.
OperatorsOfModule Measured(const PredictedCase& run, at::ScalarType dtype, const analytic::ModuleTree& tree) {
  const c10::InferenceMode inference;
  const LoadedModel loaded = LoadModel(run.config, std::nullopt, /*seed=*/1, dtype, at::kCPU);
  const int64_t image_tokens = LayoutTokens(run.page, run.config.preprocess).image_tokens();
  const int64_t seq_len = image_tokens + run.text_tokens;
  KvCache cache = loaded.model->MakeCache(seq_len + run.new_tokens);
  const Request request = loaded.model->Prepare(MakeViews(SyntheticPage(run.page), run.config.preprocess),
                                                SyntheticPrompt(run.config, image_tokens, seq_len));
  OperatorLog log;
  Generator(*loaded.model).Run(request, cache, {.max_new_tokens = run.new_tokens});
  OperatorsOfModule measured;
  for (const auto& [range, operators] : log.by_range()) {
    std::vector<std::string>& of_module = measured[tree.nodes[static_cast<size_t>(tree.node_of_range.at(range))].id];
    of_module.insert(of_module.end(), operators.begin(), operators.end());
  }
  for (auto& [module, operators] : measured) std::sort(operators.begin(), operators.end());
  return measured;
}

OperatorsOfModule Predicted(const analytic::ModuleTree& tree, const analytic::Frames& frames) {
  OperatorsOfModule predicted;
  for (const analytic::Node& node : tree.nodes) {
    for (const analytic::Frame& pass : frames.Of(node.frames)) {
      if (node.spec.runs != nullptr && !node.spec.runs(pass)) continue;
      for (const analytic::CensusEntry& entry :
           CensusOf(tree, node, pass, frames.Of(analytic::FrameSet::kViews).size())) {
        std::istringstream names(entry.operators);
        for (std::string name; names >> name;) {
          const int64_t calls = std::llround(entry.times * static_cast<double>(pass.passes * node.instances));
          predicted[node.id].insert(predicted[node.id].end(), static_cast<size_t>(calls), name);
        }
      }
    }
  }
  for (auto& [module, operators] : predicted) std::sort(operators.begin(), operators.end());
  return predicted;
}

ModelConfig TinyB() { return LoadModelConfig(FixtureDir("tiny_b")); }

// The router's optional steps, and attention of one head in SAM.
ModelConfig OtherRouter() {
  ModelConfig config = TinyConfig();
  config.decoder.norm_topk_prob = true;
  config.decoder.routed_scaling_factor = 2.5;
  return config;
}

// One view whose grid is no whole number of windows, and one that is; both other than the position tables'.
ModelConfig OneView(int64_t side) {
  ModelConfig config = TinyConfig();
  config.preprocess.crop_mode = false;
  config.preprocess.base_size = config.preprocess.image_size = side;
  return config;
}

ModelConfig ManyExperts() {
  ModelConfig config = TinyConfig();
  config.decoder.n_routed_experts = 64;
  config.decoder.num_experts_per_tok = 6;
  return config;
}

std::vector<PredictedCase> Cases() {
  return {{"tiny_a_crops", TinyConfig(), {500, 380}},           {"tiny_a_one_view", TinyConfig(), {100, 100}},
          {"tiny_a_one_token", TinyConfig(), {100, 100}, 8, 1}, {"tiny_b", TinyB(), {420, 610}},
          {"tiny_b_long_prompt", TinyB(), {420, 610}, 400, 9},  {"other_router", OtherRouter(), {500, 380}},
          {"padded_windows", OneView(320), {100, 100}},         {"whole_windows", OneView(224), {100, 100}},
          {"many_experts", ManyExperts(), {500, 380}, 100}};
}

class CensusTest : public ::testing::TestWithParam<PredictedCase> {
 protected:
  static void Compare(at::ScalarType dtype, analytic::Precision precision) {
    const analytic::ModelSpec spec = SpecOf(GetParam().config);
    const analytic::ModuleTree tree = BuildTree(spec);
    const OperatorsOfModule measured = Measured(GetParam(), dtype, tree);
    const OperatorsOfModule predicted = Predicted(tree, FramesOf(spec, WorkloadOf(GetParam(), precision)));
    for (const auto& [module, operators] : predicted) {
      SCOPED_TRACE(module);
      ASSERT_TRUE(measured.contains(module));
      if (module.find("moe/experts") == std::string::npos) {
        EXPECT_EQ(operators, measured.at(module));
      } else {
        const auto count = static_cast<double>(measured.at(module).size());
        EXPECT_NEAR(static_cast<double>(operators.size()), count, 0.02 * count);
      }
    }
    for (const auto& [module, operators] : measured) {
      EXPECT_TRUE(predicted.contains(module)) << module << " makes " << operators.size() << " operators";
    }
  }
};

TEST_P(CensusTest, NamesTheOperatorsOfEveryModuleInFp32) { Compare(at::kFloat, analytic::Precision::kFp32); }

TEST_P(CensusTest, NamesTheOperatorsOfEveryModuleInBf16) { Compare(at::kBFloat16, analytic::Precision::kBf16); }

INSTANTIATE_TEST_SUITE_P(Models, CensusTest, ::testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace dsocr::model
