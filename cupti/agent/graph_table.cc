#include "cupti/agent/graph_table.h"

#include <sys/mman.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "cupti/agent/spread.h"

namespace dsocr::agent {
namespace {

uint64_t PlaceOf(uint64_t node) { return Spread(node) >> 47; }

}  // namespace

GraphTable::Node* GraphTable::FindNode(uint64_t node) noexcept {
  if (nodes_ == nullptr || node == 0) {
    return nullptr;
  }
  for (uint64_t place = PlaceOf(node);; place = (place + 1) % kNodePlaces) {
    if (nodes_[place].id == node && nodes_[place].graph != 0 && !nodes_[place].is_removed) {
      return &nodes_[place];
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
    *free = {graph, 0, 0};
  }
  return free;
}

record::Owner GraphTable::Insert(uint32_t graph, uint64_t node, bool is_operation, record::Owner owner) noexcept {
  if (graph == 0 || node == 0 ||
      ((nodes_ == nullptr || (places_used_ == kMaxNodes && places_gone_ >= kWorthRebuilding)) && !Rebuild())) {
    return 0;
  }
  if (Node* known = FindNode(node)) {
    known->owner = owner;
    return owner;
  }
  Graph* its_graph = FindGraph(graph);
  if (its_graph == nullptr || places_used_ == kMaxNodes) {
    return 0;
  }
  Put({node, owner, graph, 0, is_operation, false}, its_graph);
  its_graph->operations += is_operation ? 1 : 0;
  return owner;
}

void GraphTable::Put(const Node& node, Graph* graph) noexcept {
  uint64_t place = PlaceOf(node.id);
  while (nodes_[place].id != 0) {
    place = (place + 1) % kNodePlaces;
  }
  ++places_used_;
  nodes_[place] = node;
  nodes_[place].next = graph->first;
  graph->first = static_cast<uint32_t>(place) + 1;
}

// Into a table of its own size, without those that are gone. False: no memory.
void GraphTable::Forget() noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (nodes_ != nullptr) {
    munmap(nodes_, kNodePlaces * sizeof(Node));
    nodes_ = nullptr;
  }
  places_used_ = places_gone_ = 0;
  std::fill(std::begin(graphs_), std::end(graphs_), Graph{});
  std::fill(std::begin(execs_), std::end(execs_), Exec{});
}

bool GraphTable::Rebuild() noexcept {
  void* memory = mmap(nullptr, kNodePlaces * sizeof(Node), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return false;
  }
  const Node* const old = std::exchange(nodes_, static_cast<Node*>(memory));
  places_used_ = places_gone_ = 0;
  for (Graph& graph : graphs_) {
    for (uint32_t next = std::exchange(graph.first, 0); next != 0; next = old[next - 1].next) {
      if (!old[next - 1].is_removed) {
        Put(old[next - 1], &graph);
      }
    }
  }
  if (old != nullptr) {
    munmap(const_cast<Node*>(old), kNodePlaces * sizeof(Node));
  }
  return true;
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

void GraphTable::BindExec(uint32_t exec, uint32_t graph, uint32_t clone) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  const uint32_t its_graph = clone != 0 ? clone : graph;
  const auto known = std::find_if(std::begin(graphs_), std::end(graphs_),
                                  [its_graph](const Graph& candidate) { return candidate.id == its_graph; });
  const auto place = std::find_if(std::begin(execs_), std::end(execs_),
                                  [exec](const Exec& candidate) { return candidate.id == exec || candidate.id == 0; });
  if (exec != 0 && its_graph != 0 && known != std::end(graphs_) && place != std::end(execs_)) {
    *place = {exec, its_graph, known->operations, clone != 0};
  }
}

void GraphTable::RemoveNode(uint64_t node) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (Node* known = FindNode(node)) {
    known->is_removed = true;
    ++places_gone_;
    if (Graph* graph = known->is_operation ? FindGraph(known->graph) : nullptr) {
      --graph->operations;
    }
  }
}

void GraphTable::RemoveNodes(uint32_t graph) noexcept {
  const auto known = std::find_if(std::begin(graphs_), std::end(graphs_),
                                  [graph](const Graph& candidate) { return candidate.id == graph; });
  if (graph == 0 || known == std::end(graphs_)) {
    return;
  }
  for (uint32_t next = known->first; next != 0; next = nodes_[next - 1].next) {
    nodes_[next - 1].graph = 0;
    places_gone_ += nodes_[next - 1].is_removed ? 0 : 1;
  }
  *known = {};
}

void GraphTable::RemoveGraph(uint32_t graph) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  RemoveNodes(graph);
}

uint32_t GraphTable::RemoveExec(uint32_t exec) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto known = std::find_if(std::begin(execs_), std::end(execs_),
                                  [exec](const Exec& candidate) { return candidate.id == exec; });
  if (exec == 0 || known == std::end(execs_)) {
    return 0;
  }
  const uint32_t clone = known->is_clone ? known->graph : 0;
  RemoveNodes(clone);
  *known = {};
  return clone;
}

GraphTable::Exec GraphTable::FindExec(uint32_t exec) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found =
      std::find_if(std::begin(execs_), std::end(execs_), [exec](const Exec& known) { return known.id == exec; });
  return exec == 0 || found == std::end(execs_) ? Exec{} : *found;
}

}  // namespace dsocr::agent
