#include "cupti/attribution/graphs.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "cupti/attribution/operator_category.h"

namespace dsocr::attribution {
namespace {

// Correlation ids count up and wrap.
bool IsLater(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) > 0; }

}  // namespace

// --- What was captured
// -------------------------------------------------------------------------------------------------

Graphs::Graph* Graphs::GraphOf(uint32_t id) {
  const auto known = graph_by_id_.find(id);
  return known != graph_by_id_.end() ? &graphs_[known->second] : NewGraph(id);
}

Graphs::Graph* Graphs::NewGraph(uint32_t id) {
  if (free_graphs_.empty()) {
    if (graphs_.size() < kMaxGraphs) {
      free_graphs_.push_back(static_cast<uint32_t>(graphs_.size()));
      graphs_.emplace_back();
    } else if (!MakeRoom()) {
      return nullptr;
    }
  }
  const uint32_t place = free_graphs_.back();
  free_graphs_.pop_back();
  graphs_[place].id = id;
  graphs_[place].place = place;
  graph_by_id_[id] = place;
  return &graphs_[place];
}

// Gives up what is remembered of the graph that was gone first. False: none is.
bool Graphs::MakeRoom() {
  if (gone_.empty()) {
    return false;
  }
  Erase(gone_.front());
  gone_.pop_front();
  return true;
}

void Graphs::Erase(uint32_t place) {
  Graph& graph = graphs_[place];
  Settle(graph);
  for (const uint64_t key : std::vector<uint64_t>(replay_order_.begin(), replay_order_.end())) {
    if (key >> 32 == place) {
      CloseReplay(key);
    }
  }
  for (const uint64_t node : graph.nodes) {
    if (const Node* known = nodes_.Find(node); known != nullptr && known->graph == place) {
      nodes_.Erase(node);
    }
  }
  ranges_ -= graph.ranges.size();
  if (const auto known = graph_by_id_.find(graph.id); known != graph_by_id_.end() && known->second == place) {
    graph_by_id_.erase(known);
  }
  graph = Graph();
  free_graphs_.push_back(place);
}

bool Graphs::Forget(uint32_t id) {
  const auto known = graph_by_id_.find(id);
  if (known == graph_by_id_.end() || graphs_[known->second].is_gone) {
    return false;
  }
  graphs_[known->second].is_gone = true;
  gone_.push_back(known->second);
  return true;
}

int Graphs::RangeIn(Graph& graph, uint64_t key, const OpenRange& open, int parent) {
  const auto [known, is_new] = graph.range_by_entry.try_emplace(key, static_cast<int>(graph.ranges.size()));
  if (is_new) {
    graph.ranges.push_back({open.entry, open.path, parent});
    ++ranges_;
  }
  return known->second;
}

bool Graphs::AddNode(uint64_t id, uint32_t graph_id, std::span<const OpenRange> open) {
  if (const auto known = graph_by_id_.find(graph_id); known != graph_by_id_.end() && graphs_[known->second].is_gone) {
    graph_by_id_.erase(known);  // its number came again
  }
  Graph* graph = GraphOf(graph_id);
  while (nodes_.size() == kMaxNodes && nodes_.Find(id) == nullptr && MakeRoom()) {
  }
  if (graph == nullptr || ranges_ + open.size() > kMaxRanges ||
      (nodes_.size() == kMaxNodes && nodes_.Find(id) == nullptr)) {
    return false;
  }
  int range = kNoRange;
  for (const OpenRange& around : open) {
    // A range whose push was lost has no entry: all of one path are one then.
    const uint64_t key = around.entry != 0 ? around.entry : uint64_t{1} << 63 | around.path;
    range = RangeIn(*graph, key, around, range);
  }
  nodes_.Set(id, {graph->place, range});
  graph->nodes.push_back(id);
  return true;
}

void Graphs::ForgetNode(uint64_t id) {
  if (const Node* node = nodes_.Find(id)) {
    std::erase(graphs_[node->graph].nodes, id);
    nodes_.Erase(id);
  }
}

void Graphs::CountLaunch(uint32_t id) {
  ++launches_heard_;
  if (const auto known = graph_by_id_.find(id); known != graph_by_id_.end() && graphs_[known->second].is_gone) {
    graph_by_id_.erase(known);
  }
}

// --- Where it is replayed
// ----------------------------------------------------------------------------------------------

// The captured path below the launch's, and how many of its ranges were added; a path outside of requests is nobody's,
// so nothing is added to it.
std::pair<PathIndex, int> Graphs::Derive(PathIndex launch_path, PathIndex captured) {
  if (!dictionary_.path(launch_path).in_request) {
    return {launch_path, 0};
  }
  const std::vector<RangeIndex> inner = dictionary_.RangesOf(captured);
  auto from = inner.begin();
  for (PathIndex outer = launch_path; outer != 0; outer = dictionary_.path(outer).parent) {
    if (const auto shared = std::find(inner.begin(), inner.end(), dictionary_.path(outer).range);
        shared != inner.end()) {
      from = std::next(shared);
      break;
    }
  }
  PathIndex path = launch_path;
  for (auto range = from; range != inner.end(); ++range) {
    path = dictionary_.Below(path, *range);
    if (path == kNoPath) {
      return {launch_path, 0};
    }
  }
  return {path, static_cast<int>(inner.end() - from)};
}

Graphs::Mapping* Graphs::MappingFor(Graph& graph, PathIndex launch_path) {
  for (Mapping& mapping : graph.mappings) {
    if (mapping.launch_path == launch_path) {
      return &mapping;
    }
  }
  if (graph.mappings.size() == kMaxLaunchPaths) {
    return nullptr;
  }
  graph.mappings.push_back({launch_path, {}});
  return &graph.mappings.back();
}

PathIndex Graphs::PathBelow(const Graph& graph, Mapping& mapping, int range) {
  if (mapping.paths.size() < graph.ranges.size()) {
    mapping.paths.resize(graph.ranges.size(), kNotMapped);
  }
  if (mapping.paths[range] == kNotMapped) {
    auto [path, added] = Derive(mapping.launch_path, graph.ranges[range].path);
    for (int above = range; above != kNoRange; above = graph.ranges[above].parent, --added) {
      if (mapping.paths[above] == kNotMapped) {
        mapping.paths[above] = added > 0 ? path : kNoPath;
      }
      path = added > 0 ? dictionary_.path(path).parent : path;
    }
  }
  return mapping.paths[range] == kNoPath ? mapping.launch_path : mapping.paths[range];
}

// Null: over already, its calls are counted.
Graphs::Replay* Graphs::ReplayOf(Graph& graph, const GraphOperation& operation) {
  const uint64_t key = uint64_t{graph.place} << 32 | operation.correlation;
  auto*& recent = recent_replays_[RecentPlace(key)];
  if (recent != nullptr && recent->first == key) {
    return &recent->second;
  }
  if (const auto known = replays_.find(key); known != replays_.end()) {
    recent = &*known;
    return &known->second;
  }
  if (graph.over.has_value() && !IsLater(operation.correlation, *graph.over)) {
    return nullptr;
  }
  const Mapping* mapping = MappingFor(graph, operation.launch_path);
  if (mapping == nullptr) {
    return nullptr;
  }
  ++replays_seen_;
  if (!graph.is_launched) {
    graph.is_launched = true;
    ++graphs_launched_;
  }
  while (!replay_order_.empty() && spans_ + graph.ranges.size() > kMaxSpans) {
    CloseOldestReplay();
  }
  while (!replay_order_.empty()) {
    const auto oldest = replays_.find(replay_order_.front());
    if (oldest != replays_.end() && operations_ - oldest->second.begin < kReplayWindow) {
      break;
    }
    CloseOldestReplay();
  }
  Replay& replay = replays_[key];
  replay.mapping = static_cast<size_t>(mapping - graph.mappings.data());
  replay.request = operation.request;
  replay.begin = operations_;
  replay.spans.resize(graph.ranges.size());
  spans_ += replay.spans.size();
  replay_order_.push_back(key);
  if (replay.request != kRequestByTime) {
    replays_of_request_.resize(std::max<size_t>(replays_of_request_.size(), replay.request + 1));
    ++replays_of_request_[replay.request];
  }
  return &replay;
}

void Graphs::CloseOldestReplay() {
  CloseReplay(replay_order_.front());
  replay_order_.pop_front();
}

// One that is over already is left alone.
void Graphs::CloseReplay(uint64_t key) {
  const auto known = replays_.find(key);
  if (known == replays_.end()) {
    return;
  }
  if (auto*& recent = recent_replays_[RecentPlace(key)]; recent == &*known) {
    recent = nullptr;
  }
  Replay replay = std::move(known->second);
  replays_.erase(known);
  spans_ -= replay.spans.size();
  Graph& graph = graphs_[key >> 32];
  const Mapping& mapping = graph.mappings[replay.mapping];
  for (size_t i = replay.spans.size(); i-- > 0;) {
    const Span& span = replay.spans[i];
    if (span.first_ns == 0) {
      continue;
    }
    if (mapping.paths[i] != kNoPath) {
      listener_.OnReplayedCall({mapping.paths[i], replay.request, span.first_ns, span.last_ns});
    }
    if (graph.ranges[i].parent != kNoRange) {
      replay.spans[graph.ranges[i].parent].Cover(span.first_ns, span.last_ns);
    }
  }
  const auto correlation = static_cast<uint32_t>(key);
  if (!graph.over.has_value() || IsLater(correlation, *graph.over)) {
    graph.over = correlation;
  }
  if (replay.request != kRequestByTime) {
    --replays_of_request_[replay.request];
  }
}

const Graphs::Node* Graphs::Find(const GraphOperation& operation) const {
  const Node* node = operation.node == 0 ? nullptr : nodes_.Find(operation.node);
  if (node == nullptr) {
    return nullptr;
  }
  if (const Graph& graph = graphs_[node->graph]; graph.is_gone && graph.id == operation.graph) {
    // Its number may have come again, and its nodes' numbers with it.
    const auto current = graph_by_id_.find(operation.graph);
    if (current != graph_by_id_.end() && current->second != node->graph) {
      return nullptr;
    }
  }
  return node;
}

void Graphs::Add(const GraphOperation& operation) {
  const Node* node = Find(operation);
  Graph* graph = node != nullptr ? &graphs_[node->graph] : GraphOf(operation.graph);
  if (node == nullptr && graph != nullptr && graph->nodes.empty() && !graph->is_settled &&
      !options_.expected_step.empty() && operation.node != 0) {
    Hold(*graph, operation);
    return;
  }
  Place(operation, node, graph);
}

void Graphs::Place(const GraphOperation& operation, const Node* node, Graph* graph) {
  ++operations_;
  OrderedOperation placed;
  placed.start_ns = operation.start_ns;
  placed.end_ns = operation.end_ns;
  placed.path = operation.launch_path;
  placed.request = operation.request;
  Replay* replay = graph == nullptr ? nullptr : ReplayOf(*graph, operation);
  if (node == nullptr || node->is_unknown) {
    ++unknown_;
  } else {
    if (node->range != kNoRange) {
      if (replay != nullptr) {
        placed.path = PathBelow(*graph, graph->mappings[replay->mapping], node->range);
        if (replay->spans.size() < graph->ranges.size()) {  // a node came after the first replay
          spans_ += graph->ranges.size() - replay->spans.size();
          replay->spans.resize(graph->ranges.size());
        }
        replay->spans[node->range].Cover(operation.start_ns, operation.end_ns);
      } else if (Mapping* mapping = MappingFor(*graph, operation.launch_path)) {
        placed.path = PathBelow(*graph, *mapping, node->range);
      }
    }
    if (node->confidence > 0) {
      ++inferred_;
      confidence_ += node->confidence;
      placed.confidence = node->confidence;
    } else {
      ++captured_;
    }
  }
  placed.category = dictionary_.Category(operation.kind, placed.path, operation.name);
  listener_.OnGraphOperation(placed);
}

// --- Captured unseen
// ---------------------------------------------------------------------------------------------------

// Buffers arrive shuffled, so that the next correlation id alone does not say that a replay is complete. It is when it
// has every node that was seen, and as many operations as the graph has nodes, and not too few, brought no new one.
void Graphs::Hold(Graph& graph, const GraphOperation& operation) {
  if (graph.held.empty()) {
    graph.fullest_replay = operation.correlation;
  }
  graph.held.push_back(operation);
  ++held_;
  graph.held_without_new_node = graph.held_nodes.insert(operation.node).second ? 0 : graph.held_without_new_node + 1;
  if (++graph.held_replays[operation.correlation] > graph.held_replays[graph.fullest_replay]) {
    graph.fullest_replay = operation.correlation;
  }
  const size_t nodes = graph.held_nodes.size();
  if ((graph.held_replays[graph.fullest_replay] >= nodes &&
       graph.held_without_new_node >= std::max(nodes, kFewestRepeats)) ||
      held_ >= kMaxHeld) {
    Settle(graph);
  }
}

void Graphs::Settle(Graph& graph) {
  if (graph.held.empty()) {
    return;
  }
  graph.is_settled = true;
  Align(graph);
  const std::vector<GraphOperation> held = std::exchange(graph.held, {});
  held_ -= held.size();
  graph.held_nodes = {};
  graph.held_replays = {};
  for (const GraphOperation& operation : held) {
    const Node* node = Find(operation);  // another graph may have taken its number meanwhile
    Place(operation, node, node != nullptr ? &graphs_[node->graph] : &graph);
  }
}

void Graphs::LoadExpected() {
  for (const ExpectedOperation& expected : options_.expected_step) {
    PathIndex path = 0;
    for (const std::string& range : expected.ranges) {
      const PathIndex below = dictionary_.Below(path, dictionary_.RangeOf(range));
      path = below == kNoPath ? path : below;
    }
    AlignmentStep step;
    step.operations = expected.operations;
    step.own_categories = static_cast<size_t>(std::max(0, expected.own_categories));
    for (const std::string& category_id : expected.category_ids) {
      if (const int category = CategoryIndex(category_id); category >= 0) {
        step.categories.push_back(category);
      }
    }
    steps_.push_back(std::move(step));
    step_paths_.push_back(path);
  }
}

// Aligns the fullest of the replays that are held back, and remembers for each node what came of it.
void Graphs::Align(Graph& graph) {
  if (steps_.empty()) {
    LoadExpected();
  }
  std::vector<GraphOperation> replay;
  std::copy_if(graph.held.begin(), graph.held.end(), std::back_inserter(replay),
               [&graph](const GraphOperation& operation) { return operation.correlation == graph.fullest_replay; });
  std::stable_sort(replay.begin(), replay.end(),
                   [](const GraphOperation& a, const GraphOperation& b) { return a.start_ns < b.start_ns; });
  std::vector<int> categories;
  for (const GraphOperation& operation : replay) {
    categories.push_back(dictionary_.Category(operation.kind, 0, operation.name));
  }
  const std::vector<AlignedNode> aligned = AlignGraph(categories, steps_);

  uint64_t entries = 0;
  int open = kNoRange;  // the innermost range that the operation before was in
  for (size_t i = 0; i < replay.size() && nodes_.size() < kMaxNodes; ++i) {
    Node node = {.graph = graph.place, .is_unknown = true};
    if (aligned[i].step >= 0 && aligned[i].confidence >= kLeastConfidence &&
        ranges_ + record::kMaxPathDepth <= kMaxRanges) {
      std::vector<PathIndex> chain;  // from the step's range outward
      for (PathIndex path = step_paths_[aligned[i].step]; path != 0; path = dictionary_.path(path).parent) {
        chain.push_back(path);
      }
      // Leaves the ranges that this operation is not in, enters those that it is in besides.
      while (open != kNoRange && std::find(chain.begin(), chain.end(), graph.ranges[open].path) == chain.end()) {
        open = graph.ranges[open].parent;
      }
      auto inner = open == kNoRange ? chain.end() : std::find(chain.begin(), chain.end(), graph.ranges[open].path);
      while (inner != chain.begin()) {
        --inner;
        ++entries;
        open = RangeIn(graph, entries, {entries, *inner}, open);
      }
      node = {.graph = graph.place, .range = open, .confidence = static_cast<float>(aligned[i].confidence)};
    }
    if (nodes_.Find(replay[i].node) == nullptr) {
      nodes_.Set(replay[i].node, node);
      graph.nodes.push_back(replay[i].node);
    }
  }
}

// --- Ends
// --------------------------------------------------------------------------------------------------------------

void Graphs::ReleaseOperations(RequestSlot request) {
  const auto is_of_it = [request](const GraphOperation& operation) {
    return operation.request == request || operation.request == kRequestByTime;
  };
  for (size_t place = 0; place < graphs_.size() && held_ > 0; ++place) {
    if (Graph& graph = graphs_[place]; std::any_of(graph.held.begin(), graph.held.end(), is_of_it)) {
      Settle(graph);
    }
  }
}

void Graphs::ReleaseCalls(RequestSlot request) {
  for (size_t i = 0;
       i < replay_order_.size() && request < replays_of_request_.size() && replays_of_request_[request] > 0; ++i) {
    if (const auto replay = replays_.find(replay_order_[i]);
        replay != replays_.end() && replay->second.request == request) {
      CloseReplay(replay_order_[i]);
    }
  }
}

void Graphs::ReleaseAllOperations() {
  for (Graph& graph : graphs_) {
    Settle(graph);
  }
}

void Graphs::ReleaseAllCalls() {
  while (!replay_order_.empty()) {
    CloseOldestReplay();
  }
}

GraphSums Graphs::sums() const {
  GraphSums sums;
  sums.launches = std::max(launches_heard_, replays_seen_);  // where nobody hears launches, their operations tell
  sums.graphs = graphs_launched_;
  sums.operations_captured = captured_;
  sums.operations_inferred = inferred_;
  sums.operations_unknown = unknown_;
  sums.inferred_confidence = inferred_ == 0 ? 0.0 : confidence_ / static_cast<double>(inferred_);
  return sums;
}

}  // namespace dsocr::attribution
