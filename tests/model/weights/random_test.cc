#include "model/weights/random.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <set>

#include "model/generate.h"
#include "model/load.h"
#include "model/probe.h"
#include "model/synthetic.h"
#include "tests/model/tiny_model.h"

namespace dsocr::model {
namespace {

TEST(RandomWeightsTest, EveryTensorIsFiniteAndHasStorageOfItsOwn) {
  const std::vector<WeightSpec> specs = ListWeights(TinyConfig());
  WeightMap weights = MakeRandomWeights(specs, 1, at::kBFloat16, at::kCPU);
  std::set<const void*> storages;
  for (const WeightSpec& spec : specs) {
    const at::Tensor tensor = weights.Take(spec.name);
    EXPECT_EQ(tensor.sizes(), at::IntArrayRef(spec.shape)) << spec.name;
    EXPECT_TRUE(tensor.isfinite().all().item<bool>()) << spec.name;
    EXPECT_TRUE(storages.insert(tensor.storage().unsafeGetStorageImpl()).second) << spec.name;
  }
}

TEST(RandomWeightsTest, SeedDecidesEveryBit) {
  const std::vector<WeightSpec> specs = ListWeights(TinyConfig());
  WeightMap first = MakeRandomWeights(specs, 7, at::kFloat, at::kCPU);
  WeightMap again = MakeRandomWeights(specs, 7, at::kFloat, at::kCPU);
  WeightMap other = MakeRandomWeights(specs, 8, at::kFloat, at::kCPU);
  const at::Tensor head = first.Take("lm_head.weight");
  EXPECT_TRUE(head.equal(again.Take("lm_head.weight")));
  EXPECT_FALSE(head.equal(other.Take("lm_head.weight")));
  EXPECT_TRUE(first.Take("model.norm.weight").eq(1).all().item<bool>());
  EXPECT_TRUE(first.Take("model.projector.layers.bias").eq(0).all().item<bool>());
}

TEST(RandomWeightsTest, ScaleFollowsFanIn) {
  const WeightSpec wide{.name = "w", .shape = {1000, 400}, .init = Init::kFanIn};
  const at::Tensor w = MakeRandomWeights({wide}, 1, at::kFloat, at::kCPU).Take("w");
  EXPECT_NEAR(w.std().item<double>(), 1.0 / 20, 1e-3);
}

// Counts how often each expert was chosen.
class ExpertCounter : public Observer {
 public:
  void See(const std::string& name, const at::Tensor& tensor) override {
    if (name != "moe.layer1.topk_idx") return;
    const at::Tensor index = tensor.contiguous();
    const int64_t* expert = index.const_data_ptr<int64_t>();
    seen.insert(expert, expert + index.numel());
  }
  std::set<int64_t> seen;
};

TEST(RandomWeightsTest, EveryExpertIsUsed) {
  const c10::InferenceMode inference;
  const ModelConfig config = TinyConfig();
  const LoadedModel loaded = LoadModel(config, std::nullopt, 1, at::kFloat, at::kCPU);
  const Size page{500, 380};
  const int64_t image_tokens = ImageTokens(page, config.preprocess);
  const Request request = loaded.model->Prepare(MakeViews(SyntheticPage(page), config.preprocess),
                                                SyntheticPrompt(config, image_tokens, image_tokens + 64));
  KvCache cache = loaded.model->MakeCache(static_cast<int64_t>(request.ids.size()) + 1);
  ExpertCounter counter;
  Generator(*loaded.model).Run(request, cache, {.max_new_tokens = 1}, Probe(&counter, ""));
  EXPECT_EQ(counter.seen.size(), static_cast<size_t>(config.decoder.n_routed_experts));
}

}  // namespace
}  // namespace dsocr::model
