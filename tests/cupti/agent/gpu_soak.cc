// Many records through the agent, its ring and the collector, at a steady rate, without losing one and without growing.
//
//   gpu_soak [MILLIONS [RECORDS_A_SECOND [lossy]]]        10 million at 1,000,000 a second
//
// lossy: the machine may be too busy for the rate. Then records may be lost, but none without being counted.
//
// A job on the fake GPU replays a graph of 1000 kernels and launches as many one by one, on four streams, paced by the
// clock. Prints a JSON object; exits with 1 where a launch is not accounted for, a record was lost, or memory was not
// flat or more than kMemoryLimitKib: what the job has with the agent beyond what it has without, and the collector.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "daemon/collect/collector.h"
#include "tests/scratch_directory.h"

namespace {

using dsocr::attribution::StreamLedger;

constexpr int64_t kMemoryLimitKib = 64 << 10;
// What the job may grow by after its first quarter: buffers of the pool, which are touched when the agent falls behind.
constexpr int64_t kGrowthLimitKib = 24 << 10;
constexpr int kNodes = 1000;
constexpr int kLayers = 10;
constexpr int kStreams = 4;
constexpr int kReplaysATurn = 9;
constexpr int64_t kRecordsATurn = int64_t{kReplaysATurn} * kNodes + 1000;
constexpr auto kSamplePeriod = std::chrono::milliseconds(100);

std::string Script(int64_t turns, int64_t records_per_s) {
  std::string script = "cuinit\nrange warm-up {\ncapture graph {\n";
  for (int layer = 0; layer < kLayers; ++layer) {
    script += "range layer[" + std::to_string(layer) + "] {\nrepeat " + std::to_string(kNodes / kLayers) +
              " {\nlaunch gemv 400ns\n}\n}\n";
  }
  script += "}\n}\ninstantiate exec graph\nrepeat " + std::to_string(turns) + " " +
            std::to_string(kRecordsATurn * 1'000'000'000 / records_per_s) + "ns {\nrange request {\n";
  for (int replay = 0; replay < kReplaysATurn; ++replay) {
    script += "graph_launch exec " + std::to_string(7 + replay % kStreams) + "\n";
  }
  script += "range eager {\nrepeat " + std::to_string(1000 / kStreams) + " {\n";
  for (int stream = 0; stream < kStreams; ++stream) {
    script += "launch gemm 400ns " + std::to_string(7 + stream) + (stream % 2 == 0 ? "\n" : " runtime\n");
  }
  script += "}\n}\n}\n}\n";
  for (int stream = 0; stream < kStreams; ++stream) {
    script += "sync " + std::to_string(7 + stream) + "\n";
  }
  return script;
}

int64_t ResidentKib(const std::string& process) {
  std::ifstream file("/proc/" + process + "/statm");
  int64_t pages = 0;
  int64_t resident = 0;
  file >> pages >> resident;
  return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

struct Job {
  nlohmann::json truth;
  std::vector<int64_t> resident_kib;  // of it, over time
  double seconds = 0.0;
};

std::optional<Job> Run(const dsocr::ScratchDirectory& directory, const std::string& script,
                       const std::map<std::string, std::string>& added) {
  std::ofstream(directory / "script") << script;
  std::vector<std::string> environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    environment.emplace_back(*variable);
  }
  for (const auto& [name, value] : added) {
    environment.push_back(name + "=" + value);
  }
  std::vector<char*> envp;
  for (std::string& variable : environment) {
    envp.push_back(variable.data());
  }
  envp.push_back(nullptr);
  std::string shell = "/bin/sh";
  std::string flag = "-c";
  std::string command =
      "exec " DSOCR_GPU_JOB " '" + (directory / "script").string() + "' > '" + (directory / "output").string() + "'";
  char* const argv[] = {shell.data(), flag.data(), command.data(), nullptr};
  const auto start = std::chrono::steady_clock::now();
  pid_t pid = -1;
  if (posix_spawn(&pid, argv[0], nullptr, nullptr, argv, envp.data()) != 0) {
    return std::nullopt;
  }
  Job job;
  int status = 0;
  while (waitpid(pid, &status, WNOHANG) == 0) {
    job.resident_kib.push_back(ResidentKib(std::to_string(pid)));
    std::this_thread::sleep_for(kSamplePeriod);
  }
  job.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::ifstream output(directory / "output");
  job.truth = nlohmann::json::parse(output, nullptr, /*allow_exceptions=*/false);
  return status == 0 && job.truth.is_object() ? std::optional(std::move(job)) : std::nullopt;
}

// By how much the later samples lie above those of the first quarter.
int64_t Growth(const std::vector<int64_t>& samples) {
  const auto quarter = samples.begin() + static_cast<ptrdiff_t>(samples.size() / 4) + 1;
  return samples.size() < 8 ? 0
                            : *std::max_element(quarter, samples.end()) - *std::max_element(samples.begin(), quarter);
}

}  // namespace

int main(int argc, char** argv) {
  const int64_t millions = argc > 1 ? std::atoll(argv[1]) : 10;
  const int64_t records_per_s = argc > 2 ? std::atoll(argv[2]) : 1'000'000;
  const bool is_lossy = argc == 4 && std::string(argv[3]) == "lossy";
  if (argc > 4 || (argc == 4 && !is_lossy) || millions < 1 || records_per_s < 1) {
    std::fprintf(stderr, "gpu_soak: error: usage: gpu_soak [MILLIONS [RECORDS_A_SECOND [lossy]]]\n");
    return 2;
  }
  const dsocr::ScratchDirectory directory;
  const std::optional<Job> alone = Run(directory, Script(10, records_per_s), {});
  auto collector = dsocr::collect::Collector::Start(directory / "agent.sock", DSOCR_BIN_DIR "/libdsocr_agent.so");
  if (!alone || !collector.ok()) {
    std::fprintf(stderr, "gpu_soak: error: the job or the collector does not start\n");
    return 1;
  }
  dsocr::attribution::Options options;
  options.request_range = "request";
  auto session = (*collector)->Expect({std::move(options), ""});
  const int64_t collector_before_kib = ResidentKib("self");
  const std::optional<Job> job =
      Run(directory, Script(millions * 1'000'000 / kRecordsATurn, records_per_s), (*session)->Environment(false));
  if (!job) {
    std::fprintf(stderr, "gpu_soak: error: the job failed under the agent\n");
    return 1;
  }
  const int64_t collector_kib = ResidentKib("self") - collector_before_kib;
  const dsocr::attribution::Result result = (*session)->Finish(absl::Now() + absl::Seconds(60)).attribution;

  const int64_t truth = job->truth.at("operations").get<int64_t>();
  StreamLedger total;
  for (const StreamLedger& stream : result.gpu ? result.gpu->streams : std::vector<StreamLedger>{}) {
    total.launched += stream.launched;
    total.recorded += stream.recorded;
    total.dropped += stream.dropped;
    total.invalid += stream.invalid;
    total.pending += stream.pending;
  }
  const int64_t agent_kib =
      job->truth.at("peak_resident_kib").get<int64_t>() - alone->truth.at("peak_resident_kib").get<int64_t>();
  const int64_t growth_kib = Growth(job->resident_kib);
  const bool is_closed = total.launched == truth && total.recorded + total.dropped == truth;
  const bool is_complete = is_closed && (is_lossy || (total.dropped == 0 && result.incidents.empty()));
  const bool is_small = agent_kib + collector_kib < kMemoryLimitKib && growth_kib < kGrowthLimitKib;
  std::printf(
      "{\"records\": %lld, \"records_per_s\": %.0f, \"launched\": %lld, \"recorded\": %lld, \"dropped\": %lld, "
      "\"invalid\": %lld, \"pending\": %lld, \"agent_kib\": %lld, \"collector_kib\": %lld, \"growth_kib\": %lld, "
      "\"agent_callback_ns\": %.1f, \"agent_decode_ns\": %.1f, \"incidents\": %zu}\n",
      static_cast<long long>(truth), static_cast<double>(truth) / job->seconds, static_cast<long long>(total.launched),
      static_cast<long long>(total.recorded), static_cast<long long>(total.dropped),
      static_cast<long long>(total.invalid), static_cast<long long>(total.pending), static_cast<long long>(agent_kib),
      static_cast<long long>(collector_kib), static_cast<long long>(growth_kib),
      static_cast<double>(result.agent.callback_ns) / static_cast<double>(truth),
      static_cast<double>(result.agent.decode_ns) / static_cast<double>(truth), result.incidents.size());
  return is_complete && is_small ? 0 : 1;
}
