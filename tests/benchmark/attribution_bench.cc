// Records a second of attribution on one core, on recordings made in memory: 504 modules, ranges six deep, two threads,
// four streams, buffers of 4,096 operations that arrive late and shuffled.
//
//   build/tests/attribution_bench --benchmark_repetitions=9 --benchmark_report_aggregates_only=true
//
// items_per_second is records a second; peak_mib what attribution itself allocated at most. docs/attribution.md has the
// figures.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <new>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cupti/attribution/attribution.h"

namespace {

size_t allocated = 0;
size_t most_allocated = 0;

}  // namespace

[[gnu::noinline]] void* operator new(size_t bytes) {
  void* memory = std::malloc(bytes);
  if (memory == nullptr) {
    throw std::bad_alloc();
  }
  allocated += malloc_usable_size(memory);
  most_allocated = std::max(most_allocated, allocated);
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  allocated -= malloc_usable_size(memory);
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { operator delete(memory); }

namespace {

using namespace dsocr;
using record::Kind;
using record::Record;

constexpr size_t kRecords = 3'000'000;
constexpr size_t kBatch = 512;  // that many the daemon takes from the ring at a time
constexpr size_t kBuffer = 4096;
constexpr int kLayers = 24;
constexpr int kThreads = 2;
constexpr uint32_t kGraph = 5;

// What an agent sends of a job that decodes, step by step.
class Job {
 public:
  explicit Job(size_t records) : limit_(records) { records_.reserve(records + 2 * kBuffer); }

  // Every leaf is entered and launches one to three kernels.
  std::vector<Record> Ranges() {
    while (records_.size() < limit_) {
      for (uint32_t thread = 0; thread < kThreads; ++thread) {
        Push(thread, "request");
      }
      for (int step = 0; step < 8 && records_.size() < limit_; ++step) {
        ForEachLeaf([this](uint32_t thread) {
          for (uint32_t left = 1 + random_() % 3; left > 0; --left) {
            Launch(open_[thread].back(), 0, 0);
          }
        });
      }
      for (uint32_t thread = 0; thread < kThreads; ++thread) {
        Pop(thread);
      }
    }
    return Finish();
  }

  // One step is captured; then each step is one range and one launch of its graph.
  std::vector<Record> Graphs() {
    Push(0, "warm-up");
    std::vector<uint64_t> nodes;
    ForEachLeaf([this, &nodes](uint32_t thread) {
      Record& record = Add(Kind::kGraphNode);
      nodes.push_back(1000 + nodes.size());
      record.graph_node = {nodes.back(), open_[thread].back(), kGraph, 0};
    });
    Pop(0);
    while (records_.size() < limit_) {
      Push(0, "request");
      for (int step = 0; step < 64; ++step) {
        Push(0, "decode");
        ++correlation_;
        Record& launch = Add(Kind::kGraphLaunch);
        launch.graph_launch = {now_ns_, open_[0].back(), correlation_, kGraph, static_cast<uint32_t>(nodes.size()), 0};
        for (const uint64_t node : nodes) {
          Launch(open_[0].back(), kGraph, node);
        }
        Pop(0);
      }
      Pop(0);
    }
    return Finish();
  }

 private:
  Record& Add(Kind kind) {
    Record record{};
    record.kind = kind;
    records_.push_back(record);
    return records_.back();
  }

  template <typename Launches>
  void ForEachLeaf(Launches launches) {
    for (int layer = 0; layer < kLayers; ++layer) {
      for (uint32_t thread = 0; thread < kThreads; ++thread) {
        Push(thread, "decode");
        Push(thread, "decode/layer[" + std::to_string(layer) + "]");
        for (const char* part : {"attention", "moe"}) {
          Push(thread, part);
          for (const char* block : {"in", "out"}) {
            Push(thread, block);
            for (const char* leaf : {"norm", "projection", "rope"}) {
              Push(thread, leaf);
              launches(thread);
              Pop(thread);
            }
            Pop(thread);
          }
          Pop(thread);
        }
        Pop(thread);
        Pop(thread);
      }
    }
  }

  void Push(uint32_t thread, const std::string& name) {
    std::vector<record::Owner>& open = open_[thread];
    const record::PathId path = PathOf(open.empty() ? 0 : record::OwnerPath(open.back()), name);
    if (entry_[thread] % 1024 == 0) {
      entry_[thread] = next_block_++ * 1024;
    }
    open.push_back(record::MakeOwner(path, entry_[thread]++));
    if (entry_[thread] == 1) {
      open.back() = record::MakeOwner(path, entry_[thread]++);  // there is no entry 0
    }
    Range(Kind::kRangePush, thread);
  }

  void Pop(uint32_t thread) {
    Range(Kind::kRangePop, thread);
    open_[thread].pop_back();
  }

  void Range(Kind kind, uint32_t thread) {
    Record& record = Add(kind);
    record.thread = thread;
    record.range = {now_ns_ += 200 + random_() % 400, open_[thread].back(), 0};
  }

  void Launch(record::Owner owner, uint32_t graph, uint64_t node) {
    const uint32_t stream = random_() % 4;
    Record record{};
    record.kind = random_() % 16 == 0 ? Kind::kCopy : Kind::kKernel;
    record.thread = graph;
    record::Operation& operation = record.operation;
    operation.start_ns = std::max(now_ns_, stream_ns_[stream]) + random_() % 2000;
    operation.end_ns = stream_ns_[stream] = operation.start_ns + 500 + random_() % 4000;
    operation.owner = owner;
    operation.name = NameOf("void kernel_" + std::to_string(random_() % 40) + "<float, 4>");
    operation.stream = stream;
    operation.context = 1;
    operation.detail = graph == 0 ? 4096 : node;
    operation.correlation = graph == 0 ? ++correlation_ : correlation_;
    buffer_.push_back(record);
    if (buffer_.size() == kBuffer) {
      Deliver();
    }
  }

  void Deliver() {
    std::shuffle(buffer_.begin(), buffer_.end(), random_);
    records_.insert(records_.end(), buffer_.begin(), buffer_.end());
    buffer_.clear();
  }

  std::vector<Record> Finish() {
    Deliver();
    return std::move(records_);
  }

  record::NameId NameOf(const std::string& name) {
    const auto [known, is_new] = names_.try_emplace(name, static_cast<record::NameId>(names_.size() + 1));
    if (is_new) {
      record::NameDefinition& definition = Add(Kind::kNameDefinition).name_definition;
      definition.name = known->second;
      definition.total_bytes = static_cast<uint16_t>(name.size());
      name.copy(definition.bytes, sizeof(definition.bytes));
    }
    return known->second;
  }

  record::PathId PathOf(record::PathId parent, const std::string& name) {
    const record::NameId name_id = NameOf(name);
    const auto [known, is_new] = paths_.try_emplace({parent, name_id}, static_cast<record::PathId>(paths_.size() + 1));
    if (is_new) {
      Add(Kind::kPathDefinition).path_definition = {known->second, parent, name_id, 0};
    }
    return known->second;
  }

  const size_t limit_;
  std::mt19937 random_{7};
  std::vector<Record> records_;
  std::vector<Record> buffer_;
  std::map<std::string, record::NameId> names_;
  std::map<std::pair<record::PathId, record::NameId>, record::PathId> paths_;
  std::vector<record::Owner> open_[kThreads];
  uint64_t entry_[kThreads] = {};
  uint64_t next_block_ = 0;
  uint32_t correlation_ = 0;
  int64_t now_ns_ = 1'000'000'000;
  int64_t stream_ns_[4] = {};
};

void Fold(benchmark::State& state, const std::vector<Record>& records) {
  size_t peak = 0;
  for (auto _ : state) {
    const size_t before = most_allocated = allocated;
    attribution::Options options;
    options.request_range = "request";
    attribution::Attribution attribution(options);
    for (size_t i = 0; i < records.size(); i += kBatch) {
      attribution.Consume(std::span(records).subspan(i, std::min(kBatch, records.size() - i)));
    }
    const attribution::Result result = attribution.Finish();
    if (result.records_invalid > 0 || result.request.attributed_ns == 0) {
      state.SkipWithError("the recording is not what it should be");
    }
    peak = std::max(peak, most_allocated - before);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(records.size()));
  state.counters["peak_mib"] = static_cast<double>(peak) / (1 << 20);
}

void BM_RangesAndKernels(benchmark::State& state) {
  static const std::vector<Record> records = Job(kRecords).Ranges();
  Fold(state, records);
}
BENCHMARK(BM_RangesAndKernels)->Unit(benchmark::kMillisecond);

void BM_GraphKernels(benchmark::State& state) {
  static const std::vector<Record> records = Job(kRecords).Graphs();
  Fold(state, records);
}
BENCHMARK(BM_GraphKernels)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
