#include "model/experts_hit.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace dsocr::model {
namespace {

TEST(ExpertsHitCounter, CountsEachExpertOnceInAPass) {
  ExpertsHitCounter counter(10);
  counter.See("moe.layer1.topk_idx", at::tensor({4, 2, 2, 9, 4, 2}, at::kLong).view({3, 2}));
  counter.See("moe.layer2.topk_idx", at::tensor({1, 0}, at::kLong).view({1, 2}));
  counter.See("moe.layer1.topk_weight", at::ones({3, 2}));
  counter.See("step_logits", at::ones({1, 64}));
  for (int step = 0; step < 3; ++step) {
    counter.See("step.moe.layer1.topk_idx", at::tensor({7, 2}, at::kLong).view({1, 2}));
  }
  ASSERT_EQ(counter.by_layer().size(), 2u);
  EXPECT_EQ(counter.by_layer().at(1).prefill.distinct, 3);
  EXPECT_EQ(counter.by_layer().at(1).decode.distinct, 6);
  EXPECT_EQ(counter.by_layer().at(2).prefill.distinct, 2);
  EXPECT_EQ(counter.by_layer().at(2).decode.distinct, 0);
}

TEST(ExpertsHitCounter, CountsEveryPickByStage) {
  ExpertsHitCounter counter(5);
  counter.See("moe.layer1.topk_idx", at::tensor({4, 2, 2, 0, 4, 2}, at::kLong).view({3, 2}));
  for (int step = 0; step < 3; ++step) {
    counter.See("step.moe.layer1.topk_idx", at::tensor({3, 2}, at::kLong).view({1, 2}));
  }
  counter.See("moe.layer2.topk_idx", at::tensor({1, 0}, at::kLong).view({1, 2}));
  EXPECT_EQ(counter.by_layer().at(1).prefill.picks, (std::vector<int64_t>{1, 0, 3, 0, 2}));
  EXPECT_EQ(counter.by_layer().at(1).decode.picks, (std::vector<int64_t>{0, 0, 3, 3, 0}));
  EXPECT_EQ(counter.by_layer().at(2).decode.picks, std::vector<int64_t>());
}

}  // namespace
}  // namespace dsocr::model
