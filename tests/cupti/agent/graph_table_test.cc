#include "cupti/agent/graph_table.h"

#include <gtest/gtest.h>

#include <memory>

namespace dsocr::agent {
namespace {

constexpr uint32_t kCaptured = 1;  // graphs
constexpr uint32_t kClone = 2;
constexpr uint32_t kExec = 9;
constexpr uint64_t NodeOf(uint32_t graph, uint32_t node) { return uint64_t{graph} << 32 | node; }
constexpr record::Owner kQuery = record::MakeOwner(3, 1);
constexpr record::Owner kGate = record::MakeOwner(4, 2);

class GraphTableTest : public ::testing::Test {
 protected:
  // Two kernels and an event captured, then instantiated.
  void Capture() {
    table_.AddNode(kCaptured, NodeOf(kCaptured, 1), true, kQuery);
    table_.AddNode(kCaptured, NodeOf(kCaptured, 2), false, kQuery);
    table_.AddNode(kCaptured, NodeOf(kCaptured, 3), true, kGate);
  }
  void Instantiate() {
    for (uint32_t node = 1; node <= 3; ++node) {
      table_.CloneNode(kClone, NodeOf(kClone, node), node != 2, NodeOf(kCaptured, node));
    }
    table_.BindExec(kExec, kCaptured, kClone);
  }

  const std::unique_ptr<GraphTable> owned_ = std::make_unique<GraphTable>();
  GraphTable& table_ = *owned_;
};

TEST_F(GraphTableTest, ACloneHasTheOwnerOfItsOriginal) {
  Capture();
  EXPECT_EQ(table_.CloneNode(kClone, NodeOf(kClone, 7), true, NodeOf(kCaptured, 3)), kGate);
  EXPECT_EQ(table_.CloneNode(kClone, NodeOf(kClone, 8), true, NodeOf(kCaptured, 99)), 0u);
}

TEST_F(GraphTableTest, AnExecCountsItsOperationsOnly) {
  Capture();
  Instantiate();
  EXPECT_EQ(table_.FindExec(kExec).operations, 2u);
  EXPECT_EQ(table_.FindExec(kExec).graph, kClone);
  EXPECT_EQ(table_.FindExec(kExec + 1).id, 0u);
}

TEST_F(GraphTableTest, AnExecOutlivesTheGraphItWasMadeFrom) {
  Capture();
  Instantiate();
  table_.RemoveGraph(kCaptured);
  EXPECT_EQ(table_.FindExec(kExec).operations, 2u);
  table_.RemoveExec(kExec);
  EXPECT_EQ(table_.FindExec(kExec).id, 0u);
}

TEST_F(GraphTableTest, AnExecTakesItsCloneAlongAndNotItsOriginal) {
  Capture();
  Instantiate();
  EXPECT_EQ(table_.RemoveExec(kExec), kClone);
  EXPECT_EQ(table_.CloneNode(4, NodeOf(4, 1), true, NodeOf(kClone, 1)), 0u);
  EXPECT_EQ(table_.CloneNode(5, NodeOf(5, 1), true, NodeOf(kCaptured, 1)), kQuery);
}

TEST_F(GraphTableTest, ANodeTakenOutIsNotCounted) {
  Capture();
  table_.RemoveNode(NodeOf(kCaptured, 1));
  table_.BindExec(kExec, kCaptured, 0);
  EXPECT_EQ(table_.FindExec(kExec).operations, 1u);
}

TEST_F(GraphTableTest, IdsComeAgain) {
  for (int round = 0; round < 200; ++round) {
    for (uint32_t node = 1; node <= 1000; ++node) {
      const record::Owner owner = record::MakeOwner(1, static_cast<uint64_t>(round) * 1000 + node);
      ASSERT_EQ(table_.AddNode(kCaptured, NodeOf(kCaptured, node), true, owner), owner);
    }
    table_.BindExec(kExec, kCaptured, 0);
    ASSERT_EQ(table_.FindExec(kExec).operations, 1000u);
    table_.RemoveGraph(kCaptured);
  }
}

TEST_F(GraphTableTest, NewIdsFindRoomWhereOldOnesAreGone) {
  for (uint32_t graph = 1; graph <= 500; ++graph) {
    for (uint32_t node = 1; node <= 1000; ++node) {
      ASSERT_EQ(table_.AddNode(graph, NodeOf(graph, node), true, kQuery), kQuery) << graph << " " << node;
    }
    if (graph > 20) {
      table_.RemoveGraph(graph - 20);
    }
  }
  EXPECT_EQ(table_.CloneNode(1000, NodeOf(1000, 1), true, NodeOf(490, 7)), kQuery) << "still there";
}

TEST_F(GraphTableTest, WhatIsTooManyIsAsIfUnseen) {
  uint32_t kept = 0;
  for (uint32_t node = 1; node <= 100'000; ++node) {
    kept += table_.AddNode(kCaptured, NodeOf(kCaptured, node), true, kQuery) != 0 ? 1 : 0;
  }
  EXPECT_EQ(kept, 65536u);
  EXPECT_EQ(table_.CloneNode(kClone, NodeOf(kClone, 1), true, NodeOf(kCaptured, 99'999)), 0u);
}

}  // namespace
}  // namespace dsocr::agent
