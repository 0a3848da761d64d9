// A job on the fake GPU: plays a script (README.md) and says on stdout, as JSON, what truly happened. Usage:
// gpu_job SCRIPT_FILE
//
// It knows nothing of the agent; it says its ranges to NVTX and its work to the fake driver, and counts both itself.
#include <nvtx3/nvToolsExt.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/fake/fake_gpu.h"
#include "tests/fake/gpu_script.h"

namespace {

using namespace dsocr::fake;

struct Work {
  int64_t operations = 0;
  int64_t duration_ns = 0;

  Work& operator+=(const Work& other) {
    operations += other.operations;
    duration_ns += other.duration_ns;
    return *this;
  }
};

Work operator*(const Work& work, int64_t times) { return {work.operations * times, work.duration_ns * times}; }

// What was captured, by the path of ranges that it was captured in.
using Captured = std::map<std::string, Work>;

// What happened in one range, below one path of others.
struct RangeNode {
  RangeNode* parent = nullptr;
  std::string path;  // names joined by " > "
  Work work;
  std::map<std::shared_ptr<const Captured>, int64_t> replays;
  std::map<std::string, std::unique_ptr<RangeNode>> children;

  RangeNode* Child(const std::string& name) {
    std::unique_ptr<RangeNode>& child = children[name];
    if (child == nullptr) {
      child = std::make_unique<RangeNode>();
      child->parent = this;
      child->path = path.empty() ? name : path + " > " + name;
    }
    return child.get();
  }
};

struct Truth {
  std::vector<Work> streams;
  std::map<std::string, Work> ranges;
  std::map<std::pair<std::string, std::string>, Work> graph_ranges;  // launched in, captured in
  int64_t graph_launches = 0;

  void Add(const RangeNode& node) {
    if (node.work.operations > 0) {
      ranges[node.path] += node.work;
    }
    for (const auto& [captured, times] : node.replays) {
      graph_launches += times;
      for (const auto& [path, work] : *captured) {
        graph_ranges[{node.path, path}] += work * times;
      }
    }
    for (const auto& [name, child] : node.children) {
      Add(*child);
    }
  }
};

struct Graph {
  fake_gpu_graph_t handle = nullptr;
  std::shared_ptr<const Captured> captured;
};

struct Exec {
  fake_gpu_exec_t handle = nullptr;
  std::shared_ptr<const Captured> captured;
};

// What the threads of the job share.
struct Job {
  Script script;
  std::mutex mutex;  // guards what follows
  Truth truth;
  std::map<std::string, Graph> graphs;
  std::map<std::string, Exec> execs;
  std::map<std::string, uint64_t> allocations;
};

class Player {
 public:
  explicit Player(Job* job) : job_(*job), streams_(job->script.streams.size()) {}

  void Play(const std::vector<Statement>& statements) {
    for (const Statement& statement : statements) {
      Play(statement);
    }
  }

  void Join() {
    for (std::thread& thread : threads_) {
      thread.join();
    }
    threads_.clear();
  }

  // Adds what this thread did to the job's truth. REQUIRES: called once.
  void Report() {
    const std::lock_guard<std::mutex> lock(job_.mutex);
    Truth& truth = job_.truth;
    truth.streams.resize(streams_.size());
    for (size_t i = 0; i < streams_.size(); ++i) {
      truth.streams[i] += streams_[i];
    }
    truth.Add(root_);
  }

 private:
  void Play(const Statement& statement);
  void Push(const std::string& name) {
    nvtxRangePushA(name.c_str());
    range_ = range_->Child(name);
  }
  void Pop() {
    nvtxRangePop();
    range_ = range_->parent;
  }
  // `error`: what the launch returned.
  void Count(int error, const Statement& statement) {
    if (error != 0) {
      return;
    }
    const Work work{1, statement.duration_ns};
    if (capture_ != nullptr && statement.stream.handle == capture_stream_) {
      (*capture_)[range_->path] += work;
    } else {
      range_->work += work;
      streams_[statement.stream.number] += work;
    }
  }
  void Capture(const Statement& statement);
  void Repeat(const Statement& statement);
  void LaunchGraph(const Statement& statement);
  void Destroy(const std::string& name);

  Job& job_;
  RangeNode root_;
  RangeNode* range_ = &root_;
  std::vector<Work> streams_;
  std::vector<std::thread> threads_;
  std::shared_ptr<Captured> capture_;
  fake_gpu_stream_t capture_stream_ = nullptr;
};

int64_t ResidentKib() {
  std::ifstream file("/proc/self/statm");
  int64_t pages = 0;
  int64_t resident = 0;
  file >> pages >> resident;
  return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    quoted += c == '"' || c == '\\' ? std::string{'\\', c} : std::string{c};
  }
  return quoted + "\"";
}

std::string ToJson(const Work& work) {
  return "\"operations\": " + std::to_string(work.operations) +
         ", \"duration_ns\": " + std::to_string(work.duration_ns);
}

// Prints the truth. Other threads' part is in it once they have ended.
void PrintTruth(Job& job) {
  std::ostringstream out;
  const std::lock_guard<std::mutex> lock(job.mutex);
  Work total;
  const char* comma = "";
  out << "{\"streams\": [";
  for (size_t i = 0; i < job.truth.streams.size(); ++i) {
    const Script::Stream& stream = job.script.streams[i];
    const Work& work = job.truth.streams[i];
    total += work;
    out << std::exchange(comma, ", ") << "{\"context\": " << stream.context << ", \"stream\": " << stream.id << ", "
        << ToJson(work) << "}";
  }
  out << "], " << ToJson(total) << ", \"graph_launches\": " << job.truth.graph_launches << ", \"ranges\": {";
  comma = "";
  for (const auto& [path, work] : job.truth.ranges) {
    out << std::exchange(comma, ", ") << Quoted(path) << ": {" << ToJson(work) << "}";
  }
  out << "}, \"graph_ranges\": [";
  comma = "";
  for (const auto& [paths, work] : job.truth.graph_ranges) {
    out << std::exchange(comma, ", ") << "{\"launched_in\": " << Quoted(paths.first)
        << ", \"captured_in\": " << Quoted(paths.second) << ", " << ToJson(work) << "}";
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  out << "], \"enabled_kinds\": " << fake_gpu_enabled_kinds() << ", \"resident_kib\": " << ResidentKib()
      << ", \"peak_resident_kib\": " << usage.ru_maxrss << "}\n";
  std::fputs(out.str().c_str(), stdout);
  std::fflush(stdout);
}

void Sleep(int64_t duration_ns) {
  const timespec rest{duration_ns / 1'000'000'000, duration_ns % 1'000'000'000};
  nanosleep(&rest, nullptr);
}

int64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

[[noreturn]] void Fail(const std::string& what) {
  std::fprintf(stderr, "gpu_job: error: %s\n", what.c_str());
  std::_Exit(2);
}

template <typename Map>
auto& Find(Map& map, const std::string& name) {
  const auto found = map.find(name);
  if (found == map.end()) {
    Fail("nothing is called '" + name + "'");
  }
  return found->second;
}

void Player::Capture(const Statement& statement) {
  capture_ = std::make_shared<Captured>();
  capture_stream_ = statement.stream.handle;
  fake_gpu_begin_capture(capture_stream_);
  Play(statement.body);
  const fake_gpu_graph_t handle = fake_gpu_end_capture(capture_stream_);
  const std::lock_guard<std::mutex> lock(job_.mutex);
  job_.graphs[statement.name] = {handle, std::exchange(capture_, nullptr)};
}

void Player::Repeat(const Statement& statement) {
  int64_t next_ns = NowNs();
  for (int64_t i = 0; i < statement.count; ++i) {
    Play(statement.body);
    if (statement.duration_ns > 0) {
      next_ns += statement.duration_ns;
      if (const int64_t left_ns = next_ns - NowNs(); left_ns > 0) {
        Sleep(left_ns);
      }
    }
  }
}

void Player::LaunchGraph(const Statement& statement) {
  Exec exec;
  {
    const std::lock_guard<std::mutex> lock(job_.mutex);
    exec = Find(job_.execs, statement.name);
  }
  if (fake_gpu_graph_launch(exec.handle, statement.stream.handle) == 0) {
    ++range_->replays[exec.captured];
    for (const auto& [path, work] : *exec.captured) {
      streams_[statement.stream.number] += work;
    }
  }
}

void Player::Destroy(const std::string& name) {
  const std::lock_guard<std::mutex> lock(job_.mutex);
  if (const auto graph = job_.graphs.find(name); graph != job_.graphs.end()) {
    fake_gpu_destroy_graph(graph->second.handle);
    job_.graphs.erase(graph);
  } else {
    fake_gpu_destroy_exec(Find(job_.execs, name).handle);
    job_.execs.erase(name);
  }
}

void Player::Play(const Statement& statement) {
  const fake_gpu_stream_t stream = statement.stream.handle;
  switch (statement.verb) {
    case Verb::kInit:
      fake_gpu_init();
      break;
    case Verb::kPush:
      Push(statement.name);
      break;
    case Verb::kPop:
      Pop();
      break;
    case Verb::kRange:
      Push(statement.name);
      Play(statement.body);
      Pop();
      break;
    case Verb::kLaunch:
      Count(fake_gpu_launch(statement.function, statement.duration_ns, stream, statement.api), statement);
      break;
    case Verb::kCopy:
      Count(fake_gpu_copy(statement.copy_kind, static_cast<uint64_t>(statement.count), statement.duration_ns, stream,
                          statement.api),
            statement);
      break;
    case Verb::kSet:
      Count(fake_gpu_set(static_cast<uint64_t>(statement.count), statement.duration_ns, stream), statement);
      break;
    case Verb::kSync:
      fake_gpu_synchronize(stream);
      break;
    case Verb::kAllocate: {
      const uint64_t address = fake_gpu_allocate(static_cast<uint64_t>(statement.count));
      const std::lock_guard<std::mutex> lock(job_.mutex);
      job_.allocations[statement.name] = address;
      break;
    }
    case Verb::kFree: {
      const std::lock_guard<std::mutex> lock(job_.mutex);
      fake_gpu_free(Find(job_.allocations, statement.name));
      break;
    }
    case Verb::kOverhead:
      fake_gpu_overhead(statement.duration_ns);
      break;
    case Verb::kCapture:
      Capture(statement);
      break;
    case Verb::kInstantiate: {
      const std::lock_guard<std::mutex> lock(job_.mutex);
      const Graph& graph = Find(job_.graphs, statement.other);
      job_.execs[statement.name] = {fake_gpu_instantiate(graph.handle), graph.captured};
      break;
    }
    case Verb::kUpdate: {
      const std::lock_guard<std::mutex> lock(job_.mutex);
      const Graph& graph = Find(job_.graphs, statement.other);
      Exec& exec = Find(job_.execs, statement.name);
      fake_gpu_update(exec.handle, graph.handle);
      exec.captured = graph.captured;
      break;
    }
    case Verb::kGraphLaunch:
      LaunchGraph(statement);
      break;
    case Verb::kDestroy:
      Destroy(statement.name);
      break;
    case Verb::kGraphId:
      fake_gpu_set_next_graph_id(static_cast<uint32_t>(statement.count));
      break;
    case Verb::kRepeat:
      Repeat(statement);
      break;
    case Verb::kThread:
      threads_.emplace_back([this, &statement] {
        Player player(&job_);
        player.Play(statement.body);
        player.Join();
        player.Report();
      });
      break;
    case Verb::kJoin:
      Join();
      break;
    case Verb::kSleep:
      Sleep(statement.duration_ns);
      break;
    case Verb::kDeliver:
      fake_gpu_deliver();
      break;
    case Verb::kWaitFlush:
      fake_gpu_wait_for_flush();
      break;
    case Verb::kFault:
      if (const char* const error = fake_gpu_fault(statement.name.c_str())) {
        Fail(error);
      }
      break;
    case Verb::kExit:
      Report();
      PrintTruth(job_);
      std::exit(static_cast<int>(statement.count));
    case Verb::kKill:
      Report();
      PrintTruth(job_);
      raise(SIGKILL);
      break;
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::ifstream file(argc == 2 ? argv[1] : "");
  if (!file) {
    Fail("usage: gpu_job SCRIPT_FILE");
  }
  const std::string text(std::istreambuf_iterator<char>(file), {});
  auto* const job = new Job;  // threads may still play while the process exits
  std::string error;
  if (!ParseScript(text, &job->script, &error)) {
    Fail(error);
  }
  Player player(job);
  player.Play(job->script.statements);
  player.Join();
  player.Report();
  PrintTruth(*job);
  return 0;
}
