// A request on several devices: who does which share of what, and what they tell one another. docs/what-if.md has the
// reasons and the sources.
//
//   data    requests of a batch are dealt out; every device has the whole model.
//   tensor  each matrix of the language model is split among the devices, by heads in attention and by columns
//   elsewhere,
//           as in Megatron-LM; two all-reduces a layer. Vision, norms, residuals and the router are done by all.
//   expert  requests are dealt out as with data, and so are the routed experts; two all-to-alls a layer bring the rows
//   of
//           token and expert together.
#ifndef DSOCR_ANALYTIC_WHAT_IF_PARALLEL_H_
#define DSOCR_ANALYTIC_WHAT_IF_PARALLEL_H_

#include <cstdint>

#include "analytic/model_spec.h"
#include "analytic/module/tree.h"

namespace dsocr::analytic {

struct Parallel {
  int64_t data = 1;
  int64_t tensor = 1;
  int64_t expert = 1;
  double link_bytes_per_s = 0;
  double link_latency_ns = 0;
  double launch_ns = 0;

  int64_t devices() const { return data * tensor * expert; }
  // Requests of the device, and of the devices that share experts, with the most of `batch`.
  int64_t GroupBatch(int64_t batch) const { return (batch + data - 1) / data; }
  int64_t DeviceBatch(int64_t batch) const { return (GroupBatch(batch) + expert - 1) / expert; }
};

// What of a leaf's work and weights one device has.
enum class Split : uint8_t { kNone, kHeads, kColumns, kExperts };
inline constexpr int kSplitCount = 4;
Split SplitOf(const Node& leaf);

// The largest share that one device has of the work of an operator; of experts, of the work of each.
double ShareOfWork(Split split, const Parallel& parallel, const DecoderSpec& decoder);
// The largest share that one device has of the experts.
double ShareOfExperts(const Parallel& parallel, const DecoderSpec& decoder);

// What follows a call of a leaf.
enum class Collective : uint8_t { kNone, kAllReduce, kAllGather, kAllToAll };
Collective CollectiveOf(const ModuleTree& tree, const Node& leaf);

// Time of the collective after one call of a leaf, for a pass of one device. `element_bytes` is of an activation.
double CollectiveNs(Collective collective, const Parallel& parallel, const DecoderSpec& decoder, const Frame& frame,
                    int64_t element_bytes);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_WHAT_IF_PARALLEL_H_
