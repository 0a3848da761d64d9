// Attribution: a streaming fold over the records of one process. Ranges say which module is running, operations say
// what the device did; the sums of the modules and the unattributed rest are the total, to the nanosecond.
//
// Cost: O(1) a record. Memory: open ranges and distinct modules, never the length of the run.
// Threads: none of its own; one caller at a time.
#ifndef DSOCR_CUPTI_ATTRIBUTION_ATTRIBUTION_H_
#define DSOCR_CUPTI_ATTRIBUTION_ATTRIBUTION_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cupti/record/record.h"

namespace dsocr::attribution {

// What a range name stands for. An empty module_id: the name is not one of the model's; its time goes to the enclosing
// module.
struct RangeMeaning {
  std::string module_id;
  std::string category_id;   // the one category of a leaf; empty: by the name of each operation
  bool has_one_row = false;  // its matrix products are gemv: the name of an ATen operator cannot tell
};

// One operation, or a few alike, that one decode step is expected to launch: what the nodes of a CUDA graph are aligned
// with when nobody saw it captured.
struct ExpectedOperation {
  std::vector<std::string> ranges;        // names of the ranges that would be open, below the request, outermost first
  std::vector<std::string> category_ids;  // an operation of another category fits badly
  int own_categories = 1;                 // the first so many are what it is; the rest what it may look like
  int operations = 1;
};

struct Options {
  // Asked once for each distinct range name. Null: the job's model is not known, and a module id is the dotted path of
  // range names; a name that starts with the enclosing range's name adds only the rest ("a" > "a.b" is a.b).
  std::function<RangeMeaning(std::string_view range_name)> resolve_range;
  // Every outermost range of this name is one request; its first `skip_requests` entries are warm-up and are not
  // counted. Empty: the whole recording is one request.
  std::string request_range;
  int skip_requests = 0;
  std::vector<ExpectedOperation> expected_step;  // in order of execution; empty: nothing is inferred
  // Whether Result::repeats is filled: for runs of few requests, because memory grows with their number.
  bool keeps_repeats = false;
};

struct CategorySum {
  std::string category_id;
  int64_t operations = 0;
  int64_t device_ns = 0;
};

// Of one request. On a CPU wall = busy + gap exactly, and level by level wall = own operations + child ranges + own
// gap.
struct ModuleSum {
  std::string module_id;
  std::string parent_id;  // as first seen; empty at the top
  int64_t calls = 0;
  int64_t wall_ns = 0;
  int64_t device_ns = 0;  // operations, children included
  int64_t self_device_ns = 0;
  int64_t busy_ns = 0;
  int64_t gap_ns = 0;
  int64_t launches = 0;  // operations, children included
  int64_t p50_ns = 0;    // of busy + gap of a call, over the calls of all requests
  int64_t p95_ns = 0;
  int64_t inferred_ns = 0;              // of device_ns, from graphs that were aligned
  double inferred_confidence = 0.0;     // of those, weighted by time
  std::vector<CategorySum> categories;  // children included
};

struct RequestSum {
  int64_t total_ns = 0;  // first operation's start to last operation's end
  int64_t attributed_ns = 0;
  int64_t unattributed_ns = 0;
  int64_t operations = 0;
  int64_t operations_unattributed = 0;
  int64_t sync_gap_ns = 0;         // GPU: nothing ran because the host had waited for the device (sync_gaps.h)
  std::vector<ModuleSum> modules;  // in order of first entry
};

// launched = recorded + dropped + invalid + pending.
struct StreamLedger {
  int device = 0;
  uint32_t context = 0;
  std::optional<uint32_t> stream;  // none: of no known stream
  int64_t launched = 0;
  int64_t recorded = 0;
  int64_t dropped = 0;
  int64_t invalid = 0;
  int64_t pending = 0;
};

// What is said of the recording itself; of the whole run.
struct Incident {
  record::IncidentCode code;
  std::string name;  // may be empty
  int64_t value = 0;
  int64_t count = 0;
};

struct GraphSums {
  int64_t launches = 0;
  int64_t graphs = 0;
  int64_t operations_captured = 0;
  int64_t operations_inferred = 0;
  int64_t operations_unknown = 0;
  double inferred_confidence = 0.0;  // the mean over inferred operations
};

struct GpuSums {
  bool launches_counted = false;      // false: nobody counted them, `launched` and `pending` mean nothing
  std::vector<StreamLedger> streams;  // by device, context, stream
  GraphSums graphs;
  int64_t wait_ns = 0;  // of the host for the device
  int64_t overhead_ns = 0;
  int64_t memory_peak_bytes = 0;
};

// Of requests chosen at random (Options say nothing of it: the agent does). The estimate is Horvitz and Thompson's.
struct SamplingSums {
  int64_t requests_seen = 0;
  int64_t requests_recorded = 0;
  double device_ns = 0.0;  // of all requests seen
  double device_ns_low = 0.0;
  double device_ns_high = 0.0;  // 95 % confidence
};

struct AgentSums {
  int64_t callback_ns = 0;
  int64_t decode_ns = 0;
  int64_t memory_bytes = 0;
};

// A module of the job's own tree, as the agent found it.
struct JobModule {
  std::string path;  // the attribute path from its root; empty: the root
  std::string type;
  uint32_t root = 0;
  std::vector<uint32_t> weight_shape;  // at most four sizes; empty: it has no weight of its own
  uint64_t parameters = 0;
  uint32_t element_bytes = 0;  // of its weight; 0: not known
};

// One module in every measured request.
struct ModuleRepeats {
  std::string module_id;
  std::string parent_id;         // as ModuleSum's
  std::vector<int64_t> time_ns;  // busy + gap, in the order of Result::request_total_ns; 0 where it did not run
};

struct Result {
  std::vector<int64_t> request_total_ns;  // every measured request, in order
  RequestSum request;                     // the one with the median total, the lower of two
  std::vector<ModuleRepeats> repeats;     // in order of first entry; empty unless Options::keeps_repeats
  int64_t records_received = 0;
  int64_t records_dropped = 0;
  int64_t records_invalid = 0;
  int64_t clock_uncertainty_ns = 0;
  int64_t agent_cost_ns = 0;                // in the measured request, as the agent states it
  std::vector<std::string> unknown_ranges;  // names that resolve_range did not know, at most 100
  std::optional<GpuSums> gpu;               // none: no GPU source was on
  std::optional<SamplingSums> sampling;     // none: everything was recorded
  AgentSums agent;
  std::vector<Incident> incidents;
  std::vector<JobModule> job_modules;  // in the order in which they were told
};

// A module while the recording goes on.
struct LiveModule {
  std::string module_id;
  int depth = 0;  // 0: at the top
  int64_t calls = 0;
  int64_t device_ns = 0;  // children included
  int64_t self_device_ns = 0;
};

class Attribution {
 public:
  explicit Attribution(Options options);
  ~Attribution();
  Attribution(const Attribution&) = delete;
  Attribution& operator=(const Attribution&) = delete;

  // Records of one thread arrive in the order in which that thread wrote them. A record that makes no sense is counted
  // and left out.
  void Consume(std::span<const record::Record> records);
  void Consume(const record::Record& record) { Consume(std::span(&record, 1)); }

  // The first request that is not over: parents before their children. Costs as much as the paths that it touched.
  std::vector<LiveModule> Live() const;
  int64_t records_received() const;
  bool has_begun() const;          // a range or an operation has come
  int64_t requests_ended() const;  // where no range marks requests: outermost ranges that began in the recording

  // REQUIRES: called once, after the last record.
  Result Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dsocr::attribution

#endif  // DSOCR_CUPTI_ATTRIBUTION_ATTRIBUTION_H_
