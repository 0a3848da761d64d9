// Recordings as an agent would send them, of any length: the same step again and again, with real jitter in each time.
#ifndef DSOCR_TESTS_CUPTI_RECORD_GENERATED_TRACE_H_
#define DSOCR_TESTS_CUPTI_RECORD_GENERATED_TRACE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "cupti/record/record.h"

namespace dsocr::record {

struct GeneratedOptions {
  int steps = 100;
  int streams = 1;      // a device's, side by side within a step: the kernels of a leaf range are on one of them
  int threads = 1;      // each runs steps of its own
  bool graph = false;   // a step is one launch of a graph of all its kernels
  bool cpu = false;     // CPU operations in place of kernels
  bool bulk = true;     // kernels arrive some thousand at a time, as from CUPTI's buffers; else each in its range
  double sigma_ns = 0;  // 0: each duration and gap has its own between 64 and 128 ns
};

// A decode step: 12 layers, about 250 leaf ranges six deep, about 700 kernels of 2 to 40 us. Those of attention take
// longer with each token; every so often a step launches kernels that the others do not.
class GeneratedTrace {
 public:
  explicit GeneratedTrace(const GeneratedOptions& options) : options_(options) {
    std::uniform_real_distribution<double> sigma(64, 128);
    std::uniform_real_distribution<double> duration(2'000, 40'000);
    std::uniform_real_distribution<double> gap(900, 3'000);
    const auto jittered = [&](double mean) {
      return Jittered{mean, options.sigma_ns > 0 ? options.sigma_ns : sigma(random_)};
    };
    threads_.resize(options.threads);
    for (int number = 0; number < options.threads; ++number) {
      Thread& thread = threads_[number];
      thread.time_ns = 1'000'000'000'000 + 12'345 * number;
      // request > decode > layers > layer[i] > attention, mlp, norm, ... > leaf
      const PathId layers = Define(Define(Define(0, "request"), "decode"), "layers");
      for (int layer = 0; layer < 12; ++layer) {
        const PathId layer_path = Define(layers, "layer[" + std::to_string(layer) + "]");
        thread.step.push_back({Event::kPush, layer_path, jittered(gap(random_))});
        for (int part = 0; part < 4; ++part) {
          const PathId part_path = Define(layer_path, kParts[part]);
          thread.step.push_back({Event::kPush, part_path, jittered(gap(random_))});
          for (int leaf = 0; leaf < 5; ++leaf) {
            const PathId path = Define(part_path, "leaf[" + std::to_string(leaf) + "]");
            thread.step.push_back({Event::kPush, path, jittered(gap(random_))});
            for (int i = 0; i < (leaf == 4 ? 2 : 3); ++i) {
              const bool is_attention = part == 0 && i == 0;
              thread.step.push_back({Event::kOperation, path, jittered(gap(random_)), jittered(duration(random_)),
                                     Name("kernel_" + std::to_string((part * 7 + leaf * 3 + i) % 60)),
                                     is_attention ? 3.0 : 0.0,
                                     static_cast<uint32_t>(7 + (part + leaf) % options.streams)});
            }
            thread.step.push_back({Event::kPop, path, jittered(gap(random_))});
          }
          thread.step.push_back({Event::kPop, part_path, jittered(gap(random_))});
        }
        thread.step.push_back({Event::kPop, layer_path, jittered(gap(random_))});
      }
      thread.root = layers;
    }
    for (int step = 0; step < options.steps; ++step) {
      for (int number = 0; number < options.threads; ++number) {
        Step(number, step);
      }
      Interleave();
    }
    Deliver(0);
  }

  const std::vector<Record>& records() const { return records_; }
  int64_t operations() const { return operations_; }

 private:
  static constexpr const char* kParts[] = {"attention", "mlp", "norm", "moe"};

  struct Jittered {
    double mean_ns;
    double sigma_ns;
  };
  struct Event {
    enum What { kPush, kPop, kOperation } what;
    PathId path;
    Jittered gap;
    Jittered duration{};
    NameId name = 0;
    double growth_ns = 0;
    uint32_t stream = 0;
  };
  struct Thread {
    std::vector<Event> step;
    std::vector<Record> written;  // of the current step
    PathId root = 0;
    int64_t time_ns = 0;
    uint64_t next_entry = 0;
    uint64_t end_entry = 0;
  };

  int64_t Draw(const Jittered& jittered) {
    return std::max<int64_t>(1, std::llround(jittered.mean_ns + jittered.sigma_ns * normal_(random_)));
  }
  uint64_t NextEntry(Thread& thread) {
    if (thread.next_entry == thread.end_entry) {
      thread.next_entry = entries_;
      thread.end_entry = entries_ += 1024;  // an agent's thread takes them by the block
    }
    return thread.next_entry++;
  }

  void Step(int number, int step) {
    Thread& thread = threads_[number];
    std::vector<Owner> open;
    const auto range = [&](Kind kind, Owner owner, const Jittered& gap) {
      Record record{};
      record.kind = kind;
      record.thread = static_cast<uint32_t>(number);
      record.range.time_ns = thread.time_ns += Draw(gap);
      record.range.owner = owner;
      thread.written.push_back(record);
    };
    open.push_back(MakeOwner(thread.root, NextEntry(thread)));
    range(Kind::kRangePush, open.back(), {5'000, 100});
    if (options_.graph) {
      Record record{};
      record.kind = Kind::kGraphLaunch;
      record.thread = static_cast<uint32_t>(number);
      record.graph_launch = {thread.time_ns += Draw({4'000, 100}), open.back(), ++correlation_, 3, 672, 0};
      thread.written.push_back(record);
    }
    if (step % 50 == 49) {
      Operation(thread, number, {Event::kOperation, thread.root, {1'000, 90}, {9'000, 90}, Name("sampled"), 0, 7}, step,
                open.back(), 0);
    }
    std::fill(std::begin(stream_ns_), std::end(stream_ns_),
              *std::max_element(std::begin(stream_ns_), std::end(stream_ns_)));
    uint64_t node = 1000;
    for (const Event& event : thread.step) {
      if (event.what == Event::kOperation) {
        Operation(thread, number, event, step, open.back(), ++node);
      } else if (options_.graph) {
        continue;
      } else if (event.what == Event::kPush) {
        open.push_back(MakeOwner(event.path, NextEntry(thread)));
        range(Kind::kRangePush, open.back(), event.gap);
      } else {
        range(Kind::kRangePop, open.back(), event.gap);
        open.pop_back();
      }
    }
    range(Kind::kRangePop, open.back(), {5'000, 100});
  }

  void Operation(Thread& thread, int number, const Event& event, int step, Owner owner, uint64_t node) {
    ++operations_;
    Record record{};
    const Jittered duration{event.duration.mean_ns + event.growth_ns * step, event.duration.sigma_ns};
    record.operation.owner = owner;
    record.operation.name = event.name;
    if (options_.cpu) {
      record.kind = Kind::kCpuOperation;
      record.thread = static_cast<uint32_t>(number);
      record.operation.start_ns = thread.time_ns + Draw(event.gap);
      record.operation.end_ns = thread.time_ns = record.operation.start_ns + Draw(duration);
      record.operation.detail = event.name % 5;
      thread.written.push_back(record);
      return;
    }
    int64_t& stream_ns = stream_ns_[event.stream % std::size(stream_ns_)];
    record.kind = Kind::kKernel;
    record.thread = options_.graph ? 3 : 0;
    record.operation.stream = event.stream;
    record.operation.context = 1;
    record.operation.correlation = options_.graph ? correlation_ : correlation_ += 3;
    record.operation.detail = options_.graph ? node : 0;
    record.operation.start_ns = stream_ns + Draw(event.gap);
    record.operation.end_ns = stream_ns = record.operation.start_ns + Draw(duration);
    if (options_.bulk) {
      waiting_.push_back(record);
    } else {
      thread.written.push_back(record);
    }
  }

  // Threads by time, as the ring takes them.
  void Interleave() {
    std::vector<size_t> next(threads_.size());
    for (;;) {
      int first = -1;
      for (size_t i = 0; i < threads_.size(); ++i) {
        if (next[i] < threads_[i].written.size() &&
            (first < 0 ||
             threads_[i].written[next[i]].range.time_ns < threads_[first].written[next[first]].range.time_ns)) {
          first = static_cast<int>(i);
        }
      }
      if (first < 0) {
        break;
      }
      records_.push_back(threads_[first].written[next[first]++]);
      Deliver(6'500);
    }
    for (Thread& thread : threads_) {
      thread.written.clear();
    }
  }
  // As CUPTI does: what is done, by when it was.
  void Deliver(size_t at_least) {
    if (waiting_.size() > at_least) {
      std::stable_sort(waiting_.begin(), waiting_.end(),
                       [](const Record& a, const Record& b) { return a.operation.end_ns < b.operation.end_ns; });
      records_.insert(records_.end(), waiting_.begin(), waiting_.end());
      waiting_.clear();
    }
  }

  NameId Name(const std::string& name) {
    const auto known = std::find(names_.begin(), names_.end(), name);
    if (known != names_.end()) {
      return static_cast<NameId>(known - names_.begin() + 1);
    }
    names_.push_back(name);
    Record record{};
    record.kind = Kind::kNameDefinition;
    record.name_definition.name = static_cast<NameId>(names_.size());
    record.name_definition.total_bytes = static_cast<uint16_t>(name.size());
    name.copy(record.name_definition.bytes, sizeof(record.name_definition.bytes));
    records_.push_back(record);
    return static_cast<NameId>(names_.size());
  }
  PathId Define(PathId parent, const std::string& name) {
    Record record{};
    record.kind = Kind::kPathDefinition;
    record.path_definition = {++paths_, parent, Name(name), 0};
    records_.push_back(record);
    return paths_;
  }

  const GeneratedOptions options_;
  std::mt19937_64 random_{1};
  std::normal_distribution<double> normal_;
  std::vector<Thread> threads_;
  std::vector<std::string> names_;
  std::vector<Record> waiting_;  // kernels that CUPTI has not delivered yet
  std::vector<Record> records_;
  int64_t stream_ns_[16] = {};
  int64_t operations_ = 0;
  PathId paths_ = 0;
  uint64_t entries_ = 1;
  uint32_t correlation_ = 100;
};

}  // namespace dsocr::record

#endif  // DSOCR_TESTS_CUPTI_RECORD_GENERATED_TRACE_H_
