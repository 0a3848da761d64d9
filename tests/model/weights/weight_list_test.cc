#include "model/weights/weight_list.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace dsocr::model {
namespace {

int64_t Sum(const std::vector<WeightSpec>& specs, const std::string& prefix) {
  int64_t sum = 0;
  for (const WeightSpec& spec : specs) {
    if (spec.name.starts_with(prefix)) sum += spec.numel();
  }
  return sum;
}

TEST(WeightListTest, PublishedModelHas3336106240Parameters) {
  const std::vector<WeightSpec> specs = ListWeights(ModelConfig());
  EXPECT_EQ(specs.size(), 2710u);
  EXPECT_EQ(Sum(specs, ""), 3'336'106'240);
  EXPECT_EQ(Sum(specs, "model.sam_model."), 95'569'152);
  EXPECT_EQ(Sum(specs, "model.vision_model."), 303'177'728);
  EXPECT_EQ(Sum(specs, "model.projector."), 2'622'720);
  EXPECT_EQ(Sum(specs, "model.layers.0."), 32'852'480);
  EXPECT_EQ(Sum(specs, "model.layers.7."), 233'720'320);
  EXPECT_EQ(Sum(specs, "lm_head"), 165'478'400);
}

TEST(WeightListTest, NamesAreUnique) {
  std::set<std::string> names;
  for (const WeightSpec& spec : ListWeights(ModelConfig())) EXPECT_TRUE(names.insert(spec.name).second) << spec.name;
}

TEST(WeightListTest, RelativeTablesFitWindowOrGrid) {
  std::map<std::string, std::vector<int64_t>> shape_of;
  for (const WeightSpec& spec : ListWeights(ModelConfig())) shape_of[spec.name] = spec.shape;
  EXPECT_EQ(shape_of["model.sam_model.blocks.1.attn.rel_pos_h"], (std::vector<int64_t>{27, 64}));
  EXPECT_EQ(shape_of["model.sam_model.blocks.2.attn.rel_pos_w"], (std::vector<int64_t>{127, 64}));
}

}  // namespace
}  // namespace dsocr::model
