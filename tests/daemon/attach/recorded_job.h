// Records of a job with hooks on its modules, written as an agent writes them.
#ifndef DSOCR_TESTS_DAEMON_ATTACH_RECORDED_JOB_H_
#define DSOCR_TESTS_DAEMON_ATTACH_RECORDED_JOB_H_

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "cupti/attribution/attribution.h"
#include "cupti/record/record.h"
#include "daemon/attach/record_writer.h"

namespace dsocr::attach {

// One thread, whose clock goes on by what happens.
class RecordedJob {
 public:
  // What the agent finds before the first call.
  void Tell(const std::vector<attribution::JobModule>& modules) {
    for (const attribution::JobModule& module : modules) {
      record::Record record{};
      record.kind = record::Kind::kModule;
      record.module.path = module.path.empty() ? 0 : NameOf(module.path);
      record.module.type = NameOf(module.type);
      record.module.rank = static_cast<uint32_t>(module.weight_shape.size());
      std::copy(module.weight_shape.begin(), module.weight_shape.end(), record.module.shape);
      record.module.parameters = module.parameters;
      writer_.Write(record);
    }
  }
  // Enters a module, is told the shape of its first tensor, leaves with End().
  record::Owner Begin(const std::string& module, std::initializer_list<uint32_t> shape = {}) {
    const record::PathId parent = calls_.empty() ? 0 : record::OwnerPath(calls_.back());
    calls_.push_back(writer_.NewOwner(PathOf(parent, module)));
    writer_.Range(record::Kind::kRangePush, 0, ++now_ns_, calls_.back());
    if (shape.size() > 0) {
      record::Record record{};
      record.kind = record::Kind::kCallShape;
      record.call_shape.owner = calls_.back();
      record.call_shape.rank = static_cast<uint32_t>(shape.size());
      std::copy(shape.begin(), shape.end(), record.call_shape.shape);
      writer_.Write(record);
    }
    return calls_.back();
  }
  void End() {
    writer_.Range(record::Kind::kRangePop, 0, ++now_ns_, calls_.back());
    calls_.pop_back();
  }
  // A module that does one thing.
  void Run(const std::string& module, int64_t duration_ns, std::initializer_list<uint32_t> shape = {}) {
    Begin(module, shape);
    Cpu(duration_ns);
    End();
  }
  void Cpu(int64_t duration_ns, const std::string& name = "aten::mm") {
    record::Record record = Operation(record::Kind::kCpuOperation, name, calls_.empty() ? 0 : calls_.back());
    record.operation.start_ns = now_ns_;
    record.operation.end_ns = now_ns_ += duration_ns;
    writer_.Write(record);
  }
  void Kernel(record::Owner owner, int64_t start_ns, int64_t end_ns) {
    record::Record record = Operation(record::Kind::kKernel, "sgemm", owner);
    record.operation.start_ns = start_ns;
    record.operation.end_ns = end_ns;
    record.operation.stream = 7;
    writer_.Write(record);
  }
  void LaunchGraph() {
    record::Record record{};
    record.kind = record::Kind::kGraphLaunch;
    record.graph_launch.time_ns = ++now_ns_;
    record.graph_launch.owner = Innermost();
    record.graph_launch.graph = 1;
    writer_.Write(record);
  }
  record::Owner Innermost() const { return calls_.back(); }
  int64_t now_ns() const { return now_ns_; }
  const std::vector<record::Record>& records() const { return records_; }

 private:
  record::NameId NameOf(const std::string& name) {
    const auto [known, is_new] = names_.try_emplace(name, 0);
    if (is_new) {
      known->second = writer_.DefineName(name);
    }
    return known->second;
  }
  // Paths of modules, where a range of RecordWriter would be none.
  record::PathId PathOf(record::PathId parent, const std::string& module) {
    const record::NameId name = NameOf(module);
    const auto [known, is_new] = paths_.try_emplace({parent, name}, static_cast<record::PathId>(paths_.size() + 1));
    if (is_new) {
      record::Record record{};
      record.kind = record::Kind::kPathDefinition;
      record.path_definition = {known->second, parent, name, 1};
      writer_.Write(record);
    }
    return known->second;
  }
  record::Record Operation(record::Kind kind, const std::string& name, record::Owner owner) {
    record::Record record{};
    record.kind = kind;
    record.operation.owner = owner;
    record.operation.name = NameOf(name);
    return record;
  }

  std::vector<record::Record> records_;
  RecordWriter writer_{[this](const record::Record& record) { records_.push_back(record); }};
  std::map<std::string, record::NameId> names_;
  std::map<std::pair<record::PathId, record::NameId>, record::PathId> paths_;
  std::vector<record::Owner> calls_;
  int64_t now_ns_ = 1'000'000;
};

}  // namespace dsocr::attach

#endif  // DSOCR_TESTS_DAEMON_ATTACH_RECORDED_JOB_H_
