#include "cupti/agent/graph_table.h"

#include <sys/mman.h>

#include <algorithm>
#include <iterator>

namespace dsocr::agent {

GraphTable::Node* GraphTable::FindNode(uint64_t node) noexcept {
  constexpr uint64_t kMultiplier = 0x9e3779b97f4a7c15u;
  if (nodes_ == nullptr || node == 0) {
    return nullptr;
  }
  for (uint64_t place = node * kMultiplier >> 47;; place = (place + 1) % kNodePlaces) {
    if (nodes_[place].id == node) {
      return nodes_[place].graph == 0 ? nullptr : &nodes_[place];
    }
    if (nodes_[place].id == 0) {
      return nullptr;
    }
  }
}

GraphTable::Graph* GraphTable::FindGraph(uint32_t graph) noexcept {
  Graph* free = nullptr;
  for (Graph& known : graphs_) {
    if (known.id == graph) {
      return &known;
    }
    free = free == nullptr && known.id == 0 ? &known : free;
  }
  if (free != nullptr) {
    *free = {graph, 0};
  }
  return free;
}

record::Owner GraphTable::Insert(uint32_t graph, uint64_t node, bool is_operation, record::Owner owner) noexcept {
  constexpr uint64_t kMultiplier = 0x9e3779b97f4a7c15u;
  if (graph == 0 || node == 0) {
    return 0;
  }
  if (nodes_ == nullptr) {
    void* memory = mmap(nullptr, kNodePlaces * sizeof(Node), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
      return 0;
    }
    nodes_ = static_cast<Node*>(memory);
  }
  Node* known = FindNode(node);
  if (known == nullptr) {
    uint64_t place = node * kMultiplier >> 47;
    while (nodes_[place].id != 0 && nodes_[place].graph != 0) {
      place = (place + 1) % kNodePlaces;
    }
    if (nodes_[place].id == 0 && places_used_++ == kMaxNodes) {
      --places_used_;
      return 0;
    }
    known = &nodes_[place];
    if (Graph* its_graph = is_operation ? FindGraph(graph) : nullptr) {
      ++its_graph->operations;
    }
  }
  *known = {node, owner, graph, is_operation};
  return owner;
}

record::Owner GraphTable::AddNode(uint32_t graph, uint64_t node, bool is_operation, record::Owner owner) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  return Insert(graph, node, is_operation, owner);
}

record::Owner GraphTable::CloneNode(uint32_t graph, uint64_t node, bool is_operation, uint64_t original) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  // CUPTI may have told of the clone as of a node of its own, made in whatever range instantiates.
  const Node* source = FindNode(original);
  return Insert(graph, node, is_operation, source == nullptr ? 0 : source->owner);
}

void GraphTable::BindExec(uint32_t exec, uint32_t graph) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto known =
      std::find_if(std::begin(graphs_), std::end(graphs_), [graph](const Graph& g) { return g.id == graph; });
  const auto place =
      std::find_if(std::begin(execs_), std::end(execs_), [exec](const Exec& e) { return e.id == exec || e.id == 0; });
  if (exec != 0 && graph != 0 && known != std::end(graphs_) && place != std::end(execs_)) {
    *place = {exec, graph, known->operations};
  }
}

void GraphTable::RemoveNode(uint64_t node) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (Node* known = FindNode(node)) {
    if (Graph* graph = known->is_operation ? FindGraph(known->graph) : nullptr) {
      --graph->operations;
    }
    known->graph = 0;
  }
}

void GraphTable::RemoveGraph(uint32_t graph) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (graph == 0) {
    return;
  }
  for (uint32_t place = 0; nodes_ != nullptr && place < kNodePlaces; ++place) {
    if (nodes_[place].graph == graph) {
      nodes_[place].graph = 0;
    }
  }
  for (Graph& known : graphs_) {
    if (known.id == graph) {
      known = {};
    }
  }
}

void GraphTable::RemoveExec(uint32_t exec) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (Exec& known : execs_) {
    if (known.id == exec) {
      known = {};
    }
  }
}

GraphTable::Exec GraphTable::FindExec(uint32_t exec) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found =
      std::find_if(std::begin(execs_), std::end(execs_), [exec](const Exec& known) { return known.id == exec; });
  return exec == 0 || found == std::end(execs_) ? Exec{} : *found;
}

}  // namespace dsocr::agent
