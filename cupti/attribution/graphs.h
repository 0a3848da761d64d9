// CUDA graphs: which ranges their operations were captured in, and the calls of modules that each replay makes.
//
//   captured in  warm-up > decode > decode/layer[3] > attention        (each range one entry: one call)
//   launched in  request > decode
//   a replay is  request > decode > decode/layer[3] > attention        (one call of layer and attention a replay)
//
// From the launch's innermost range that the capture was in too, the captured ranges inward are put below the launch's
// path. A graph of which no node is known was captured unseen: its operations are held back until a replay is complete,
// aligned once with the operations that the model is expected to launch (graph_alignment.h), and then handed out.
//
// Bounded: 65,536 nodes, 8,192 graphs, 32,768 operations held back; beyond that operations belong to the range that
// launched the graph, and are counted as unknown. A graph that is gone is remembered until its place is needed:
// operations arrive later than the host's word of its end.
#ifndef DSOCR_CUPTI_ATTRIBUTION_GRAPHS_H_
#define DSOCR_CUPTI_ATTRIBUTION_GRAPHS_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "cupti/attribution/attribution.h"
#include "cupti/attribution/call_table.h"
#include "cupti/attribution/dictionary.h"
#include "cupti/attribution/flat_map.h"
#include "cupti/attribution/graph_alignment.h"
#include "cupti/attribution/operation_order.h"

namespace dsocr::attribution {

// An operation of a replay, as it arrived.
struct GraphOperation {
  int64_t start_ns = 0;
  int64_t end_ns = 0;
  uint64_t node = 0;
  PathIndex launch_path = 0;
  RequestSlot request = 0;
  record::NameId name = 0;
  uint32_t graph = 0;
  uint32_t correlation = 0;
  record::Kind kind = record::Kind::kKernel;
};

// A call of a module that a replay made.
struct ReplayedCall {
  PathIndex path = 0;
  RequestSlot request = 0;
  int64_t first_operation_ns = 0;
  int64_t last_operation_ns = 0;
};

// Who takes what comes out.
class GraphListener {
 public:
  virtual void OnGraphOperation(const OrderedOperation& operation) = 0;
  virtual void OnReplayedCall(const ReplayedCall& call) = 0;

 protected:
  ~GraphListener() = default;
};

class Graphs {
 public:
  // An open range of a thread that captures.
  struct OpenRange {
    uint64_t entry = 0;  // 0: not known
    PathIndex path = 0;
  };

  // Borrows all three.
  Graphs(const Options& options, Dictionary& dictionary, GraphListener& listener)
      : options_(options), dictionary_(dictionary), listener_(listener) {}

  // `open`: the ranges around the capture, outermost first; their paths are a chain. False: refused.
  bool AddNode(uint64_t node, uint32_t graph, std::span<const OpenRange> open);
  // It turns out that nobody saw it captured.
  void ForgetNode(uint64_t node);
  bool Forget(uint32_t graph);
  void CountLaunch(uint32_t graph);  // 0: captured unseen
  void Add(const GraphOperation& operation);

  // The request is about to be closed: hands out its operations that are held back, then its calls.
  void ReleaseOperations(RequestSlot request);
  void ReleaseCalls(RequestSlot request);
  void ReleaseAllOperations();
  void ReleaseAllCalls();

  GraphSums sums() const;

 private:
  static constexpr size_t kMaxNodes = 1 << 16;
  static constexpr size_t kMaxGraphs = 1 << 13;
  static constexpr size_t kMaxRanges = 1 << 17;  // entries of ranges that graphs were captured in
  static constexpr size_t kMaxHeld = 1 << 15;
  static constexpr size_t kMaxLaunchPaths = 16;  // a graph
  // A replay is over when this many operations of graphs have come since its first, or this many spans of calls are
  // kept. What comes later still counts in its module, but no longer in the span of its call.
  static constexpr int64_t kReplayWindow = 1 << 13;
  static constexpr size_t kMaxSpans = 1 << 17;
  static constexpr size_t kRecentReplays = 64;
  static constexpr size_t kFewestRepeats = 256;
  // A node is inferred where this much of the plausible alignments agree: it is likelier there than anywhere else.
  static constexpr double kLeastConfidence = 0.5;

  static constexpr int kNoRange = -1;
  static constexpr PathIndex kNotMapped = 0xfffffffe;

  struct CapturedRange {
    uint64_t entry = 0;
    PathIndex path = 0;     // as captured
    int parent = kNoRange;  // an earlier one of the graph
  };
  struct Node {
    uint32_t graph = 0;  // place in graphs_
    int range = kNoRange;
    float confidence = 0;  // > 0: inferred
    bool is_unknown = false;
  };
  // Where the captured ranges are below one launch path.
  struct Mapping {
    PathIndex launch_path = 0;
    std::vector<PathIndex> paths;  // by captured range; kNoPath: not below it
  };
  struct Span {
    int64_t first_ns = 0;  // 0: no operation yet
    int64_t last_ns = 0;

    void Cover(int64_t from_ns, int64_t until_ns) {
      first_ns = first_ns == 0 ? from_ns : std::min(first_ns, from_ns);
      last_ns = std::max(last_ns, until_ns);
    }
  };
  struct Replay {
    size_t mapping = 0;  // of its graph
    RequestSlot request = 0;
    int64_t begin = 0;        // operations of graphs before it
    std::vector<Span> spans;  // by captured range
  };
  struct Graph {
    uint32_t id = 0;
    uint32_t place = 0;
    bool is_gone = false;
    bool is_launched = false;
    bool is_settled = false;  // captured unseen, and aligned or given up
    std::vector<uint64_t> nodes;
    std::vector<CapturedRange> ranges;  // parents before their children
    std::unordered_map<uint64_t, int> range_by_entry;
    std::vector<Mapping> mappings;
    std::optional<uint32_t> over;  // the latest correlation id of the replays that are over
    std::vector<GraphOperation> held;
    std::unordered_set<uint64_t> held_nodes;
    std::unordered_map<uint32_t, size_t> held_replays;  // operations, by correlation id
    uint32_t fullest_replay = 0;
    size_t held_without_new_node = 0;
  };

  // Null: too many.
  Graph* GraphOf(uint32_t id);
  Graph* NewGraph(uint32_t id);
  void Erase(uint32_t place);
  bool MakeRoom();
  int RangeIn(Graph& graph, uint64_t key, const OpenRange& open, int parent);
  const Node* Find(const GraphOperation& operation) const;
  void Place(const GraphOperation& operation, const Node* node, Graph* graph);
  PathIndex PathBelow(const Graph& graph, Mapping& mapping, int range);
  std::pair<PathIndex, int> Derive(PathIndex launch_path, PathIndex captured);
  Mapping* MappingFor(Graph& graph, PathIndex launch_path);
  Replay* ReplayOf(Graph& graph, const GraphOperation& operation);
  void CloseOldestReplay();
  void CloseReplay(uint64_t key);
  static size_t RecentPlace(uint64_t key) { return (key ^ key >> 32) % kRecentReplays; }
  void Hold(Graph& graph, const GraphOperation& operation);
  void Settle(Graph& graph);
  void Align(Graph& graph);
  void LoadExpected();

  const Options& options_;
  Dictionary& dictionary_;
  GraphListener& listener_;
  std::deque<Graph> graphs_;
  std::vector<uint32_t> free_graphs_;
  std::unordered_map<uint32_t, uint32_t> graph_by_id_;
  std::deque<uint32_t> gone_;  // places, in order
  FlatMap<Node> nodes_;
  std::unordered_map<uint64_t, Replay> replays_;  // by the graph's place << 32 | correlation id
  std::deque<uint64_t> replay_order_;             // their keys, and some of replays that are over
  // Of them, some that were asked for lately: their replays_ element, or null.
  std::array<std::pair<const uint64_t, Replay>*, kRecentReplays> recent_replays_{};
  std::vector<uint32_t> replays_of_request_;  // by slot; how many in replays_
  size_t spans_ = 0;
  size_t ranges_ = 0;
  size_t held_ = 0;
  std::vector<AlignmentStep> steps_;  // Options' expected step
  std::vector<PathIndex> step_paths_;

  int64_t operations_ = 0;
  int64_t launches_heard_ = 0;
  int64_t replays_seen_ = 0;
  int64_t graphs_launched_ = 0;
  int64_t captured_ = 0;
  int64_t inferred_ = 0;
  int64_t unknown_ = 0;
  double confidence_ = 0.0;  // sum over inferred operations
};

}  // namespace dsocr::attribution

#endif  // DSOCR_CUPTI_ATTRIBUTION_GRAPHS_H_
