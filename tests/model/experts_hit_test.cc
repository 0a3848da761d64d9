#include "model/experts_hit.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace dsocr::model {
namespace {

TEST(ExpertsHitCounter, CountsEachExpertOnceInAPass) {
  ExpertsHitCounter counter;
  counter.See("moe.layer1.topk_idx", at::tensor({4, 2, 2, 9, 4, 2}, at::kLong).view({3, 2}));
  counter.See("moe.layer2.topk_idx", at::tensor({1, 0}, at::kLong).view({1, 2}));
  counter.See("moe.layer1.topk_weight", at::ones({3, 2}));
  counter.See("step_logits", at::ones({1, 64}));
  for (int step = 0; step < 3; ++step) {
    counter.See("step.moe.layer1.topk_idx", at::tensor({7, 2}, at::kLong).view({1, 2}));
  }
  ASSERT_EQ(counter.by_layer().size(), 2u);
  EXPECT_EQ(counter.by_layer().at(1).prefill, 3);
  EXPECT_EQ(counter.by_layer().at(1).decode, 6);
  EXPECT_EQ(counter.by_layer().at(2).prefill, 2);
  EXPECT_EQ(counter.by_layer().at(2).decode, 0);
}

}  // namespace
}  // namespace dsocr::model
