#include "analytic/what_if/parallel.h"

#include <algorithm>
#include <string_view>

namespace dsocr::analytic {
namespace {

// What a collective takes before its first step: NCCL's tuning table (src/graph/tuning.cc, baseLat, ring with the LL
// protocol).
constexpr double kCollectiveBaseNs = 3600;

// The leaves of a decoder layer that tensor parallelism splits, by name: a split of anything else would change results.
struct NamedSplit {
  std::string_view leaf;
  Split split;
};
constexpr NamedSplit kSplits[] = {
    {"q_proj", Split::kHeads},      {"k_proj", Split::kHeads},    {"v_proj", Split::kHeads},
    {"rope", Split::kHeads},        {"kv_cache", Split::kHeads},  {"core", Split::kHeads},
    {"merge_heads", Split::kHeads}, {"o_proj", Split::kHeads},    {"gate_proj", Split::kColumns},
    {"up_proj", Split::kColumns},   {"act", Split::kColumns},     {"mul", Split::kColumns},
    {"down_proj", Split::kColumns}, {"experts", Split::kExperts}, {"lm_head", Split::kColumns},
};

bool IsLanguage(const Node& node) { return node.stage == Stage::kPrefill || node.stage == Stage::kDecode; }

// Of `parts` equal parts dealt to `devices`, the share of the one with the most.
double LargestShare(int64_t parts, int64_t devices) {
  return static_cast<double>((parts + devices - 1) / devices) / static_cast<double>(parts);
}

}  // namespace

Split SplitOf(const Node& leaf) {
  const auto* named = std::find_if(std::begin(kSplits), std::end(kSplits),
                                   [&](const NamedSplit& entry) { return entry.leaf == leaf.spec.name; });
  return IsLanguage(leaf) && named != std::end(kSplits) ? named->split : Split::kNone;
}

double ShareOfWork(Split split, const Parallel& parallel, const DecoderSpec& decoder) {
  switch (split) {
    case Split::kNone:
      return 1;
    case Split::kHeads:
      return LargestShare(decoder.kv_heads, parallel.tensor);
    case Split::kColumns:
    case Split::kExperts:
      return 1 / static_cast<double>(parallel.tensor);
  }
  return 1;
}

double ShareOfExperts(const Parallel& parallel, const DecoderSpec& decoder) {
  return LargestShare(decoder.routed_experts, parallel.expert);
}

Collective CollectiveOf(const ModuleTree& tree, const Node& leaf) {
  if (!IsLanguage(leaf)) {
    return Collective::kNone;
  }
  const std::string_view name = leaf.spec.name;
  const std::string_view parent = tree.nodes[static_cast<size_t>(leaf.parent)].spec.name;
  if (name == "o_proj" || (name == "down_proj" && parent == "mlp") || (name == "add" && parent == "moe")) {
    return Collective::kAllReduce;
  }
  if (name == "lm_head") {
    return Collective::kAllGather;
  }
  return name == "experts" ? Collective::kAllToAll : Collective::kNone;
}

double CollectiveNs(Collective collective, const Parallel& parallel, const DecoderSpec& decoder, const Frame& frame,
                    int64_t element_bytes) {
  const auto elements = [element_bytes](int64_t rows, int64_t width) {
    return static_cast<double>(rows) * static_cast<double>(width) * static_cast<double>(element_bytes);
  };
  // Bytes that leave a device, and the steps one after another, of a ring among n.
  const auto time = [&](int64_t n, double passes, double bytes) {
    if (n == 1) {
      return 0.0;
    }
    const auto others = static_cast<double>(n - 1);
    return parallel.launch_ns + kCollectiveBaseNs + passes * others * parallel.link_latency_ns +
           passes * others / static_cast<double>(n) * bytes * 1e9 / parallel.link_bytes_per_s;
  };
  const int64_t rows = frame.batch * frame.tokens;
  switch (collective) {
    case Collective::kNone:
      return 0;
    case Collective::kAllReduce:
      return time(parallel.tensor, 2, elements(rows, decoder.hidden_size));
    case Collective::kAllGather:
      return time(parallel.tensor, 1, elements(frame.batch, decoder.vocab_size));
    case Collective::kAllToAll:
      return 2 * time(parallel.expert, 1, elements(rows * decoder.experts_per_token, decoder.hidden_size));
  }
  return 0;
}

}  // namespace dsocr::analytic
