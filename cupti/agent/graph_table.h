// CUDA graphs as they are captured and instantiated: who owns a node, and how many operations a graph has.
//
// Bounded: 65,536 nodes and 1,024 graphs alive at a time; those beyond are as if captured unseen. Capture is rare, so a
// mutex guards all of it; a replay asks for one number.
#ifndef DSOCR_CUPTI_AGENT_GRAPH_TABLE_H_
#define DSOCR_CUPTI_AGENT_GRAPH_TABLE_H_

#include <cstdint>
#include <mutex>

#include "cupti/record/record.h"

namespace dsocr::agent {

class GraphTable {
 public:
  // A node of `graph` was made on a thread in the range `owner`, or cloned from `original`. `is_operation`: it will
  // have a record at each replay. Returns the node's owner; 0: not known, though its graph counts it.
  record::Owner AddNode(uint32_t graph, uint64_t node, bool is_operation, record::Owner owner) noexcept;
  record::Owner CloneNode(uint32_t graph, uint64_t node, bool is_operation, uint64_t original) noexcept;

  // `exec` was made from `graph`; `clone`, if not 0, is the graph that its nodes were cloned into.
  void BindExec(uint32_t exec, uint32_t graph, uint32_t clone) noexcept;
  // Takes one node, all nodes of a graph, an executable graph with its clone out.
  void RemoveNode(uint64_t node) noexcept;
  void RemoveGraph(uint32_t graph) noexcept;
  // The clone that went with it; 0: none.
  uint32_t RemoveExec(uint32_t exec) noexcept;

  // No graph is known any more.
  void Forget() noexcept;

  struct Exec {
    uint32_t id;          // 0: not known
    uint32_t graph;       // that its nodes are of
    uint32_t operations;  // at each replay
    bool is_clone;        // `graph` is its own, and goes with it
  };
  Exec FindExec(uint32_t exec) noexcept;

 private:
  static constexpr uint32_t kNodePlaces = 1 << 17;
  static constexpr uint32_t kMaxNodes = kNodePlaces / 2;
  static constexpr uint32_t kWorthRebuilding = kMaxNodes / 8;  // places of nodes that are gone
  static constexpr uint32_t kMaxGraphs = 1024;

  struct Node {
    uint64_t id;  // 0: never used
    record::Owner owner;
    uint32_t graph;  // 0: its graph was removed
    uint32_t next;   // of the graph's nodes: place + 1; 0: the last
    bool is_operation;
    bool is_removed;
  };
  struct Graph {
    uint32_t id;  // 0: free
    uint32_t operations;
    uint32_t first;  // of its nodes: place + 1; 0: none
  };

  record::Owner Insert(uint32_t graph, uint64_t node, bool is_operation, record::Owner owner) noexcept;
  Node* FindNode(uint64_t node) noexcept;
  Graph* FindGraph(uint32_t graph) noexcept;
  void RemoveNodes(uint32_t graph) noexcept;
  void Put(const Node& node, Graph* graph) noexcept;
  bool Rebuild() noexcept;

  std::mutex mutex_;       // guards what follows
  Node* nodes_ = nullptr;  // kNodePlaces of them, open addressing; mapped at the first node
  uint32_t places_used_ = 0;
  uint32_t places_gone_ = 0;  // of those
  Graph graphs_[kMaxGraphs]{};
  Exec execs_[kMaxGraphs]{};
};

}  // namespace dsocr::agent

#endif  // DSOCR_CUPTI_AGENT_GRAPH_TABLE_H_
