#include "cupti/attribution/graph_alignment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <climits>
#include <string>
#include <vector>

#include "cupti/attribution/operator_category.h"

namespace dsocr::attribution {
namespace {

int Id(const std::string& name) { return CategoryIndex(name); }

// A decoder of equal layers: norm, gemm, rope, attention, gemm, norm, gemm, activation, gemm.
std::vector<AlignmentStep> Decoder(int layers) {
  std::vector<AlignmentStep> steps;
  for (int i = 0; i < layers; ++i) {
    for (const char* name : {"norm", "gemm", "rope", "attention", "gemm", "norm", "gemm", "activation", "gemm"}) {
      steps.push_back({{Id(name)}, name == std::string("attention") ? 2 : 1});
    }
  }
  steps.push_back({{Id("norm")}});
  steps.push_back({{Id("gemm"), Id("gemv")}});
  return steps;
}

struct Graph {
  std::vector<int> categories;
  std::vector<int> steps;  // which step each belongs to, -1: none
};

Graph LaunchedBy(const std::vector<AlignmentStep>& steps) {
  Graph graph;
  for (size_t s = 0; s < steps.size(); ++s) {
    for (int i = 0; i < steps[s].operations; ++i) {
      graph.categories.push_back(steps[s].categories[0]);
      graph.steps.push_back(static_cast<int>(s));
    }
  }
  return graph;
}

std::vector<int> StepsOf(const std::vector<AlignedNode>& nodes) {
  std::vector<int> steps;
  for (const AlignedNode& node : nodes) {
    steps.push_back(node.step);
  }
  return steps;
}

double LeastConfidence(const std::vector<AlignedNode>& nodes) {
  double least = 1;
  for (const AlignedNode& node : nodes) {
    least = node.step >= 0 ? std::min(least, node.confidence) : least;
  }
  return least;
}

TEST(GraphAlignmentTest, GraphThatIsWhatWasExpectedIsCertain) {
  const std::vector<AlignmentStep> steps = Decoder(12);
  const Graph graph = LaunchedBy(steps);
  const std::vector<AlignedNode> nodes = AlignGraph(graph.categories, steps);
  EXPECT_EQ(StepsOf(nodes), graph.steps);
  EXPECT_GT(LeastConfidence(nodes), 0.95);
}

TEST(GraphAlignmentTest, ExtraCopiesFitNowhereAndDisturbNobody) {
  const std::vector<AlignmentStep> steps = Decoder(12);
  Graph graph = LaunchedBy(steps);
  for (const int place : {100, 77, 40, 13, 12}) {
    graph.categories.insert(graph.categories.begin() + place, Id("copy"));
    graph.steps.insert(graph.steps.begin() + place, -1);
  }
  const std::vector<AlignedNode> nodes = AlignGraph(graph.categories, steps);
  EXPECT_EQ(StepsOf(nodes), graph.steps);
  EXPECT_GT(LeastConfidence(nodes), 0.9);
}

TEST(GraphAlignmentTest, MissingAndFusedOperationsLeaveStepsEmpty) {
  const std::vector<AlignmentStep> steps = Decoder(12);
  Graph graph = LaunchedBy(steps);
  for (int i = static_cast<int>(graph.categories.size()) - 1; i >= 0; --i) {
    const auto place = static_cast<size_t>(i);
    const bool is_fused = graph.categories[place] == Id("activation");       // into the gemm before it
    const bool is_missing = graph.steps[place] == 9 * 5 && place % 10 == 0;  // the norm of the sixth layer
    if (is_fused || is_missing) {
      graph.categories.erase(graph.categories.begin() + i);
      graph.steps.erase(graph.steps.begin() + i);
    }
  }
  const std::vector<AlignedNode> nodes = AlignGraph(graph.categories, steps);
  for (size_t i = 0; i < nodes.size(); ++i) {
    // Two gemms in a row, the activation between them gone: both stay gemms of the same layer.
    EXPECT_EQ(nodes[i].step / 9, graph.steps[i] / 9) << i;
    EXPECT_EQ(steps[static_cast<size_t>(nodes[i].step)].categories[0], graph.categories[i]) << i;
  }
}

TEST(GraphAlignmentTest, StepTakesMoreOperationsThanExpected) {
  const std::vector<AlignmentStep> steps = {{{Id("norm")}}, {{Id("routing"), Id("copy")}, 2}, {{Id("gemm")}}};
  const std::vector<AlignedNode> nodes = AlignGraph(
      {Id("norm"), Id("routing"), Id("copy"), Id("routing"), Id("routing"), Id("copy"), Id("gemm"), Id("gemm")}, steps);
  EXPECT_EQ(StepsOf(nodes), (std::vector<int>{0, 1, 1, 1, 1, 1, 2, 2}));
}

TEST(GraphAlignmentTest, KernelOfAnUnknownNameKeepsItsPlaceWithLessConfidence) {
  const std::vector<AlignmentStep> steps = Decoder(4);
  Graph graph = LaunchedBy(steps);
  graph.categories[15] = kOtherCategory;
  const std::vector<AlignedNode> nodes = AlignGraph(graph.categories, steps);
  EXPECT_EQ(StepsOf(nodes), graph.steps);
  EXPECT_LE(nodes[15].confidence, 0.5);
  EXPECT_GT(nodes[14].confidence, 0.9);
}

TEST(GraphAlignmentTest, LayerTooFewLeavesLayersInDoubt) {
  const std::vector<AlignmentStep> steps = Decoder(4);
  const Graph graph = LaunchedBy(Decoder(3));
  const std::vector<AlignedNode> nodes = AlignGraph(graph.categories, steps);
  EXPECT_LT(LeastConfidence(nodes), 0.6) << "which of the equal layers is missing, nobody can tell";
}

TEST(GraphAlignmentTest, AnotherSequenceIsNotTrusted) {
  const std::vector<int> other(200, Id("interpolate"));
  for (const AlignedNode& node : AlignGraph(other, Decoder(12))) {
    EXPECT_LE(node.confidence, 0.1);
  }
}

TEST(GraphAlignmentTest, StepWithoutCategoriesTakesAnything) {
  const std::vector<AlignedNode> nodes = AlignGraph({Id("gemm"), kOtherCategory, -1}, {{{}, 3}});
  EXPECT_EQ(StepsOf(nodes), (std::vector<int>{0, 0, 0}));
  EXPECT_GT(LeastConfidence(nodes), 0.9);
}

TEST(GraphAlignmentTest, OddSizesAreAnswered) {
  EXPECT_TRUE(AlignGraph({}, Decoder(1)).empty());
  EXPECT_EQ(AlignGraph({0}, {})[0].step, -1);
  EXPECT_EQ(AlignGraph({INT_MIN}, {{{INT_MAX}, INT_MIN}}).size(), 1);
  EXPECT_EQ(AlignGraph(std::vector<int>(kMaxAlignedNodes + 1), Decoder(1))[0].step, -1);
  EXPECT_EQ(AlignGraph({0}, std::vector<AlignmentStep>(kMaxAlignedSteps + 1))[0].step, -1);
}

TEST(GraphAlignmentTest, LargestGraphStaysInItsBand) {
  std::vector<AlignmentStep> steps;
  for (size_t i = 0; i < kMaxAlignedSteps; ++i) {
    steps.push_back({{static_cast<int>(i * i / 7 % 18)}, i % 2 == 0 ? INT_MAX : 4});
  }
  std::vector<int> nodes;
  for (size_t i = 0; i < kMaxAlignedNodes; ++i) {
    nodes.push_back(static_cast<int>(i / 4 * (i / 4) / 7 % 18));
  }
  const std::vector<AlignedNode> aligned = AlignGraph(nodes, steps);
  ASSERT_EQ(aligned.size(), nodes.size());
  int before = 0;
  for (const AlignedNode& node : aligned) {
    EXPECT_TRUE(node.confidence >= 0 && node.confidence <= 1);
    if (node.step >= 0) {
      EXPECT_GE(node.step, before);
      before = node.step;
    }
  }
}

}  // namespace
}  // namespace dsocr::attribution
