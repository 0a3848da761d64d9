// A recording written by hand: what an agent would have sent, in the words of the domain.
#ifndef DSOCR_TESTS_CUPTI_ATTRIBUTION_RECORDING_H_
#define DSOCR_TESTS_CUPTI_ATTRIBUTION_RECORDING_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "cupti/attribution/attribution.h"

namespace dsocr::attribution {

class Recording {
 public:
  explicit Recording(Options options) : attribution_(std::move(options)) {}

  void Push(int64_t time_ns, const std::string& name, uint32_t thread = 0) { PushDrawn(time_ns, name, 0, thread); }
  // An outermost range that was recorded with probability 1 / weight.
  void PushDrawn(int64_t time_ns, const std::string& name, uint64_t weight, uint32_t thread = 0) {
    std::vector<record::Owner>& open = open_[thread];
    const record::PathId parent = open.empty() ? 0 : record::OwnerPath(open.back());
    open.push_back(record::MakeOwner(PathOf(parent, name), ++entries_));
    Range(record::Kind::kRangePush, time_ns, open.back(), thread, weight << 16);
  }
  void Pop(int64_t time_ns, uint32_t thread = 0) { Range(record::Kind::kRangePop, time_ns, Close(thread), thread); }
  // The agent's ring was full just then.
  void LosePush(const std::string& name, uint32_t thread = 0) {
    std::vector<record::Owner>& open = open_[thread];
    open.push_back(record::MakeOwner(PathOf(open.empty() ? 0 : record::OwnerPath(open.back()), name), ++entries_));
  }
  void LosePop(uint32_t thread = 0) { Close(thread); }

  void Cpu(int64_t start_ns, int64_t end_ns, const std::string& name, uint32_t thread = 0, uint64_t nested_calls = 0) {
    record::Record record = Operation(record::Kind::kCpuOperation, start_ns, end_ns, name, Owner(thread));
    record.thread = thread;
    record.operation.detail = nested_calls;
    Send(record);
  }
  // A kernel of whoever launched it: CUPTI delivers it at any time.
  void Kernel(record::Owner owner, int64_t start_ns, int64_t end_ns, const std::string& name = "sgemm",
              uint32_t stream = 7) {
    record::Record record = Operation(record::Kind::kKernel, start_ns, end_ns, name, owner);
    record.operation.stream = stream;
    Send(record);
  }
  // --- CUDA graphs. The node is captured in, the graph launched from, the thread's innermost range.
  void Capture(uint32_t graph, uint64_t node, uint32_t thread = 0) {
    record::Record record{};
    record.kind = record::Kind::kGraphNode;
    record.thread = thread;
    record.graph_node = {node, Owner(thread), graph, 0};
    Send(record);
  }
  void GraphGone(uint32_t graph) {
    record::Record record{};
    record.kind = record::Kind::kGraphGone;
    record.graph_gone = {graph, 0};
    Send(record);
  }
  // Launches; the launch's number, for the operations of its replay.
  uint32_t Launch(int64_t time_ns, uint32_t graph, uint32_t operations = 0) {
    record::Record record{};
    record.kind = record::Kind::kGraphLaunch;
    record.graph_launch = {time_ns, Owner(), ++correlation_, graph, operations, 0};
    launched_from_[correlation_] = Owner();
    Send(record);
    return correlation_;
  }
  void Replayed(uint32_t launch, uint32_t graph, uint64_t node, int64_t start_ns, int64_t end_ns,
                const std::string& name = "sgemm") {
    record::Record record = Operation(record::Kind::kKernel, start_ns, end_ns, name, launched_from_[launch]);
    record.thread = graph;
    record.operation.stream = 7;
    record.operation.detail = node;
    record.operation.correlation = launch;
    Send(record);
  }

  record::Owner Owner(uint32_t thread = 0) const {
    const auto open = open_.find(thread);
    return open == open_.end() || open->second.empty() ? 0 : open->second.back();
  }

  // --- What the agent says of its recording. The stream is that of Kernel().
  void Ledger(uint64_t launched, uint64_t recorded, uint64_t dropped, uint64_t invalid, uint64_t pending,
              uint32_t stream = 7) {
    record::Record record{};
    record.kind = record::Kind::kLedger;
    record.ledger = {launched, recorded, dropped, invalid, stream, 0, pending};
    Send(record);
  }
  void Incident(record::IncidentCode code, const std::string& name, int64_t value, uint64_t count) {
    record::Record record{};
    record.kind = record::Kind::kIncident;
    record.incident = {1, code, name.empty() ? 0 : NameOf(name), value, count};
    Send(record);
  }
  void AgentCost(const record::AgentCost& cost) {
    record::Record record{};
    record.kind = record::Kind::kAgentCost;
    record.agent_cost = cost;
    Send(record);
  }
  void Memory(int64_t bytes) {
    record::Record record{};
    record.kind = record::Kind::kMemory;
    record.memory = {1, Owner(), 0x1000, bytes};
    Send(record);
  }
  void Wait(int64_t start_ns, int64_t end_ns) {
    Send(Operation(record::Kind::kWait, start_ns, end_ns, "cudaStreamSynchronize", Owner()));
  }
  void Overhead(int64_t start_ns, int64_t end_ns) {
    Send(Operation(record::Kind::kOverhead, start_ns, end_ns, "buffer flush", 0));
  }
  void Costs(uint32_t range_ps, uint32_t operation_ps, uint32_t nested_ps) {
    record::Record record{};
    record.kind = record::Kind::kStatistics;
    record.statistics.range_record_ps = range_ps;
    record.statistics.operation_record_ps = operation_ps;
    record.statistics.nested_call_ps = nested_ps;
    Send(record);
  }
  void Send(const record::Record& record) { attribution_.Consume(record); }
  Result Finish() { return attribution_.Finish(); }

  record::NameId NameOf(const std::string& name) {
    const auto [known, is_new] = names_.try_emplace(name, static_cast<record::NameId>(names_.size() + 1));
    for (size_t offset = 0; is_new && offset < name.size(); offset += 40) {
      record::Record record{};
      record.kind = record::Kind::kNameDefinition;
      record.name_definition.name = known->second;
      record.name_definition.total_bytes = static_cast<uint16_t>(name.size());
      record.name_definition.offset = static_cast<uint16_t>(offset);
      name.copy(record.name_definition.bytes, 40, offset);
      Send(record);
    }
    return known->second;
  }

 private:
  record::PathId PathOf(record::PathId parent, const std::string& name) {
    const record::NameId name_id = NameOf(name);
    const auto [known, is_new] = paths_.try_emplace({parent, name_id}, static_cast<record::PathId>(paths_.size() + 1));
    if (is_new) {
      record::Record record{};
      record.kind = record::Kind::kPathDefinition;
      record.path_definition = {known->second, parent, name_id, 0};
      Send(record);
    }
    return known->second;
  }
  void Range(record::Kind kind, int64_t time_ns, record::Owner owner, uint32_t thread, uint64_t inverse_q16 = 0) {
    record::Record record{};
    record.kind = kind;
    record.thread = thread;
    record.range = {time_ns, owner, inverse_q16};
    Send(record);
  }
  record::Owner Close(uint32_t thread) {
    const record::Owner owner = open_[thread].back();
    open_[thread].pop_back();
    return owner;
  }
  record::Record Operation(record::Kind kind, int64_t start_ns, int64_t end_ns, const std::string& name,
                           record::Owner owner) {
    record::Record record{};
    record.kind = kind;
    record.operation.start_ns = start_ns;
    record.operation.end_ns = end_ns;
    record.operation.name = NameOf(name);
    record.operation.owner = owner;
    return record;
  }

  Attribution attribution_;
  std::map<std::string, record::NameId> names_;
  std::map<std::pair<record::PathId, record::NameId>, record::PathId> paths_;
  std::map<uint32_t, std::vector<record::Owner>> open_;
  uint64_t entries_ = 0;
  uint32_t correlation_ = 0;
  std::map<uint32_t, record::Owner> launched_from_;
};

inline const ModuleSum& ModuleOf(const Result& result, const std::string& module_id) {
  static const ModuleSum none;
  for (const ModuleSum& module : result.request.modules) {
    if (module.module_id == module_id) {
      return module;
    }
  }
  ADD_FAILURE() << "no module " << module_id;
  return none;
}

inline void ExpectPartsAddUp(const Result& result, int64_t device_ns) {
  const int64_t self_ns =
      std::accumulate(result.request.modules.begin(), result.request.modules.end(), int64_t{0},
                      [](int64_t sum, const ModuleSum& module) { return sum + module.self_device_ns; });
  EXPECT_EQ(self_ns, result.request.attributed_ns);
  EXPECT_EQ(self_ns + result.request.unattributed_ns, device_ns);
  for (const ModuleSum& module : result.request.modules) {
    int64_t by_category_ns = 0;
    int64_t launches = 0;
    for (const CategorySum& category : module.categories) {
      by_category_ns += category.device_ns;
      launches += category.operations;
    }
    EXPECT_EQ(by_category_ns, module.device_ns) << module.module_id;
    EXPECT_EQ(launches, module.launches) << module.module_id;
  }
}

}  // namespace dsocr::attribution

#endif  // DSOCR_TESTS_CUPTI_ATTRIBUTION_RECORDING_H_
