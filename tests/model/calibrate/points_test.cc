#include <c10/core/InferenceMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <variant>

#include "model/calibrate/calibrate.h"

namespace dsocr::model {
namespace {

using ::testing::Contains;
using ::testing::UnorderedElementsAre;

std::set<std::string> CategoriesOf(const std::vector<Group>& groups) {
  std::set<std::string> categories;
  for (const Group& group : groups) {
    for (const Point& point : group) {
      categories.insert(point.category);
    }
  }
  return categories;
}

// memset and communication do not occur; reduction is part of norm and sampling.
TEST(PublishedSuite, CoverEveryCategoryOfTheModelBeforeTheLargestShapes) {
  const Suite suite = PublishedSuite(Bench(at::kCPU, at::kBFloat16));
  const std::vector<Group>& groups = suite.groups;

  ASSERT_GE(suite.usual, 4u);
  const std::vector<Group> first(groups.begin(), groups.begin() + 4);
  EXPECT_THAT(CategoriesOf(first),
              UnorderedElementsAre("activation", "attention", "conv", "copy", "elementwise", "embedding", "gemm",
                                   "gemv", "index", "interpolate", "norm", "rope", "routing", "sampling", "softmax"));
  EXPECT_EQ(CategoriesOf(groups), CategoriesOf(first));
}

TEST(PublishedSuite, NameEveryPointOnceAndGiveItWork) {
  std::set<std::string> names;
  for (const Group& group : PublishedSuite(Bench(at::kCPU, at::kFloat)).groups) {
    for (const Point& point : group) {
      EXPECT_TRUE(names.insert(point.name).second) << point.name;
      EXPECT_GT(point.work.bytes, 0) << point.name;
      EXPECT_GE(point.work.launches, 1) << point.name;
    }
  }
  EXPECT_THAT(names, Contains("sam 1024 global core"));
  EXPECT_THAT(names, Contains("decode lm_head"));
}

// Against products written out: projector 2 x 256 x 2048 x 1280, lm_head 2 x 1280 x 129280.
TEST(PublishedSuite, CountTheWorkOfTheModel) {
  const Bench bench(at::kCPU, at::kBFloat16);
  const auto flops = [](const std::vector<Point>& points, const std::string& name) -> int64_t {
    for (const Point& point : points) {
      if (point.name == name) {
        return point.work.flops;
      }
    }
    return -1;
  };

  EXPECT_EQ(flops(ClipPoints(bench, 16), "projector 256 matmul"), 1'342'177'280);
  EXPECT_EQ(flops(SamPoints(bench, 1024), "sam 1024 global core"), int64_t{4} * 4096 * 4096 * 768);
  EXPECT_EQ(flops(DecodeEndPoints(bench), "decode lm_head"), 330'956'800);
}

TEST(PublishedSuite, GiveProductsAndPlainAttentionTheSizeOfTheirWork) {
  for (const Group& group : PublishedSuite(Bench(at::kCPU, at::kBFloat16)).groups) {
    for (const Point& point : group) {
      SCOPED_TRACE(point.name);
      const bool is_product = point.category == "gemm" || point.category == "gemv";
      if (is_product) {
        EXPECT_EQ(GemmWork(std::get<GemmShape>(point.size), 2), point.work);
      } else if (point.category == "attention" && !point.name.starts_with("sam")) {  // SAM's has a bias
        EXPECT_EQ(AttentionWork(std::get<AttentionShape>(point.size), 2), point.work);
      } else {
        EXPECT_TRUE(std::holds_alternative<std::monostate>(point.size));
      }
    }
  }
}

// Operators of a decode step and a short prompt: they run, on this machine's ATen, in both dtypes.
TEST(DecoderPoints, RunInBothPrecisions) {
  const c10::InferenceMode inference;
  for (const at::ScalarType dtype : {at::kBFloat16, at::kFloat}) {
    Bench bench(at::kCPU, dtype);
    for (const Group& group : {PrefillPoints(bench, 8), DecodeLayerPoints(bench), DecodeEndPoints(bench)}) {
      for (const Point& point : group) {
        SCOPED_TRACE(point.name);
        const Body body = point.prepare(bench);
        EXPECT_NO_THROW(body());
        EXPECT_NO_THROW(body());
      }
    }
  }
}

TEST(Bench, ActivationsOfASizeAreOneUntilTheyAreForgotten) {
  Bench bench(at::kCPU, at::kFloat);
  const at::Tensor row = bench.Activation({1, 6});
  EXPECT_EQ(bench.Activation({2, 3}).data_ptr(), row.data_ptr());
  EXPECT_NE(bench.Activation({6, 2}).data_ptr(), row.data_ptr());
  EXPECT_NE(bench.Filled({1, 6}, 1).data_ptr(), row.data_ptr());
  bench.ForgetActivations();
  EXPECT_NE(bench.Activation({1, 6}).data_ptr(), row.data_ptr());
}

// What one weight has read is not in what another reads next, until the arena has been read once.
TEST(Bench, WeightsTakeTurnsInOneArena) {
  Bench bench(at::kCPU, at::kBFloat16);
  const auto small = bench.Weight({1280, 1280}), large = bench.Weight({6848, 1280});
  const char* end = nullptr;
  for (int i = 0; i < 5; ++i) {
    for (ColdWeight* weight : {small.get(), large.get()}) {
      const at::Tensor& piece = weight->Next();
      const char* const begin = static_cast<const char*>(piece.data_ptr());
      EXPECT_GE(begin, end);
      end = begin + piece.nbytes();
    }
  }
  const void* const first = bench.Weight({1280, 1280})->Next().data_ptr();
  EXPECT_GE(static_cast<const char*>(first), end) << "a weight that is made later begins where the others are";
}

TEST(Bench, AnArenaIsReadAgainFromItsStart) {
  Arena arena(at::empty({100}));
  EXPECT_EQ(arena.Take(/*pieces=*/3, /*stride=*/30), 0);
  EXPECT_EQ(arena.Take(3, 30), 1);
  EXPECT_EQ(arena.Take(10, 10), 6);
  EXPECT_EQ(arena.Take(3, 30), 0);
  EXPECT_EQ(arena.Take(1, 100), 0);
  EXPECT_EQ(arena.Take(10, 10), 0);
}

TEST(SamPoints, RunOnASmallView) {
  const c10::InferenceMode inference;
  Bench bench(at::kCPU, at::kBFloat16);
  for (const Point& point : SamPoints(bench, 64)) {
    SCOPED_TRACE(point.name);
    EXPECT_NO_THROW(point.prepare(bench)());
  }
}

TEST(ClipPoints, RunOnASmallView) {
  const c10::InferenceMode inference;
  Bench bench(at::kCPU, at::kBFloat16);
  for (const Point& point : ClipPoints(bench, 2)) {
    SCOPED_TRACE(point.name);
    EXPECT_NO_THROW(point.prepare(bench)());
  }
}

}  // namespace
}  // namespace dsocr::model
