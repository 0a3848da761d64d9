#include "daemon/attach/translate_operators.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "cupti/attribution/dictionary.h"
#include "daemon/attach/expected_calls.h"
#include "daemon/attach/place_operators.h"

namespace dsocr::attach {
namespace {

using record::Kind;
using record::Owner;
using record::Record;

struct OpenModule {
  int module = 0;
  uint64_t run = 0;
  Owner owner = 0;
};

struct OpenThread {
  record::OperatorShape shape{};
  bool has_shape = false;
  std::vector<OpenModule> open;
  int64_t settled_ns = 0;  // the last operation's end
};

}  // namespace

struct OperatorTranslator::State {
  State(const analytic::ModelSpec& model, RecordWriter::Sink sink)
      : expected(ExpectCalls(model)),
        writer(std::move(sink)),
        module_names(expected.modules.size()),
        last_runs(expected.modules.size()),
        placer(model, expected, [this](const PlacedOperator& placed) { Put(placed); }) {}

  void Consume(const Record& record);
  void Operation(const Record& record);
  void Put(const PlacedOperator& placed);
  void Enter(uint32_t number, int module, uint64_t run, int64_t time_ns);
  void CloseFrom(uint32_t number, size_t depth);
  void EndThread(uint32_t number);
  record::NameId NameOf(record::NameId job_name);

  // The root and the projector are entered once a request, however often the projector is called.
  uint64_t RunOf(const PlacedOperator& placed, size_t level) const {
    const bool is_of_request =
        level == 0 || (level == 1 && expected.modules[static_cast<size_t>(placed.place->modules[1])] == "projector");
    return is_of_request ? placed.pass.request + 1 : placed.pass.run;
  }

  const ExpectedCalls expected;
  RecordWriter writer;
  const attribution::Options no_options;
  attribution::Dictionary dictionary{no_options};  // of the job
  std::vector<record::NameId> names{0};            // by the job's NameId; 0: not used yet
  std::vector<record::NameId> module_names;        // by module; 0: not used yet
  std::vector<uint64_t> last_runs;                 // by module: that it was last entered in
  std::vector<OpenThread> threads;
  OperatorObservation observation;
  OperatorPlacer placer;
};

record::NameId OperatorTranslator::State::NameOf(record::NameId job_name) {
  names.resize(std::max<size_t>(names.size(), job_name + 1));
  if (names[job_name] == 0) {
    names[job_name] = writer.DefineName(dictionary.Text(job_name));
  }
  return names[job_name];
}

void OperatorTranslator::State::CloseFrom(uint32_t number, size_t depth) {
  OpenThread& thread = threads[number];
  while (thread.open.size() > depth) {
    writer.Range(Kind::kRangePop, number, thread.settled_ns, thread.open.back().owner);
    thread.open.pop_back();
  }
}

void OperatorTranslator::State::Enter(uint32_t number, int module, uint64_t run, int64_t time_ns) {
  OpenThread& thread = threads[number];
  const auto index = static_cast<size_t>(module);
  if (module_names[index] == 0) {
    module_names[index] = writer.DefineName(expected.modules[index]);
  }
  const record::PathId parent = thread.open.empty() ? 0 : record::OwnerPath(thread.open.back().owner);
  const Owner owner = writer.NewOwner(writer.PathBelow(parent, module_names[index]));
  writer.Range(Kind::kRangePush, number, time_ns, owner);
  thread.open.push_back({module, run, owner});
  if (last_runs[index] == run) {
    ++observation.observation.resumed[expected.modules[index]];
  }
  last_runs[index] = run;
}

void OperatorTranslator::State::Put(const PlacedOperator& placed) {
  Record record = placed.operation;
  OpenThread& thread = threads[record.thread];
  const auto depth = static_cast<size_t>(placed.depth);
  size_t common = 0;
  while (common < depth && common < thread.open.size() && thread.open[common].module == placed.place->modules[common] &&
         thread.open[common].run == RunOf(placed, common)) {
    ++common;
  }
  CloseFrom(record.thread, common);
  for (size_t level = common; level < depth; ++level) {
    Enter(record.thread, placed.place->modules[level], RunOf(placed, level), record.operation.start_ns);
  }
  record.operation.owner = depth == 0 ? 0 : thread.open.back().owner;
  record.operation.name = NameOf(record.operation.name);
  writer.Write(record);
  thread.settled_ns = record.operation.end_ns;
  if (depth > 0) {
    Inferred& sum = observation.inferred[expected.modules[static_cast<size_t>(placed.place->modules[depth - 1])]];
    const int64_t device_ns = record.operation.end_ns - record.operation.start_ns;
    sum.device_ns += device_ns;
    sum.sure_ns += static_cast<double>(device_ns) * placed.confidence;
  }
}

void OperatorTranslator::State::Operation(const Record& record) {
  if (!dictionary.HasName(record.operation.name) || record.operation.name == 0 ||
      record.operation.end_ns < record.operation.start_ns) {
    return;
  }
  threads.resize(std::max<size_t>(threads.size(), record.thread + 1));
  OpenThread& thread = threads[record.thread];
  const bool has_shape = std::exchange(thread.has_shape, false);
  placer.Consume(record, dictionary.Text(record.operation.name), has_shape ? &thread.shape : nullptr);
}

void OperatorTranslator::State::EndThread(uint32_t number) {
  placer.EndThread(number);
  CloseFrom(number, 0);
  threads[number] = OpenThread();
}

void OperatorTranslator::State::Consume(const Record& record) {
  if (record.kind == Kind::kNameDefinition) {
    dictionary.DefineName(record.name_definition);
    return;
  }
  if (record.kind == Kind::kStatistics || record.kind == Kind::kDropped || record.kind == Kind::kAgentCost) {
    writer.Write(record);
    return;
  }
  // Ranges and what belongs to them, and what only a GPU has, are not of such a job.
  if (record.thread >= record::kMaxThreads) {
    return;
  }
  if (record.kind == Kind::kOperatorShape) {
    threads.resize(std::max<size_t>(threads.size(), record.thread + 1));
    threads[record.thread].shape = record.operator_shape;
    threads[record.thread].has_shape = true;
  } else if (record.kind == Kind::kCpuOperation) {
    Operation(record);
  } else if (record.kind == Kind::kThread) {
    if (record.thread < threads.size()) {
      EndThread(record.thread);  // an earlier thread of that number
    }
    writer.Write(record);
  }
}

OperatorTranslator::OperatorTranslator(const analytic::ModelSpec& model, RecordWriter::Sink sink)
    : state_(std::make_unique<State>(model, std::move(sink))) {}
OperatorTranslator::~OperatorTranslator() = default;

void OperatorTranslator::Consume(const Record& record) { state_->Consume(record); }

OperatorObservation OperatorTranslator::Finish() {
  for (uint32_t number = 0; number < state_->threads.size(); ++number) {
    state_->EndThread(number);
  }
  state_->observation.observation.requests = state_->placer.TakeRequests();
  return std::move(state_->observation);
}

}  // namespace dsocr::attach
