#include "model/command/serve.h"

#include <c10/core/InferenceMode.h>
#include <c10/core/StreamGuard.h>
#include <c10/util/Exception.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "model/calibrate/speed_probe.h"
#include "model/command/exit_code.h"
#include "model/command/frame.h"
#include "model/command/inputs.h"
#include "model/command/serve_request.h"
#include "model/cuda_graph.h"
#include "model/device.h"
#include "model/error.h"
#include "model/experts_hit.h"
#include "model/generate.h"
#include "model/load.h"
#include "model/output_text.h"
#include "model/static_decoder.h"

namespace dsocr::model {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

// Set before the last event is written: from then on the reader may close its end without cancelling anything.
std::atomic<bool> is_finished = false;

class EventWriter {
 public:
  explicit EventWriter(int fd) : fd_(fd) {}

  // A reader that is gone is a cancellation, and the watcher of stdin sees it too; nothing is left to be told here.
  void Write(const Json& event) const {
    WriteFrame(fd_, event.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace));
  }
  void State(const char* state, const std::string& message, double progress) const {
    Write({{"event", "state"}, {"state", state}, {"message", message}, {"progress", progress}});
  }
  void Experts(const ExpertsHitCounter& counter) const {
    Json layers = Json::array();
    for (const auto& [layer, experts] : counter.by_layer()) {
      layers.push_back({{"layer", layer},
                        {"prefill", experts.prefill.distinct},
                        {"decode", experts.decode.distinct},
                        {"prefill_picks", experts.prefill.picks},
                        {"decode_picks", experts.decode.picks}});
    }
    Write({{"event", "experts"}, {"layers", layers}});
  }
  void Error(ErrorCode code, const std::string& what, const std::string& why, const std::string& todo) const {
    is_finished = true;
    Write({{"event", "error"}, {"code", ErrorCodeName(code)}, {"what", what}, {"why", why}, {"todo", todo}});
  }

 private:
  int fd_;
};

// CPU time of the calling thread.
std::chrono::nanoseconds ThreadTime() {
  timespec time = {};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

// Ends the process when `fd` does. A process-wide exit is the one way to leave a kernel that runs for seconds.
void WatchForCancellation(int fd) {
  std::thread([fd] {
    char ignored[256];
    while (true) {
      const ssize_t count = ::read(fd, ignored, sizeof(ignored));
      if (count > 0 || (count < 0 && errno == EINTR)) continue;
      if (!is_finished) ::_exit(kExitCancelled);
      return;
    }
  }).detach();
}

Json MeanOf(const Speed& before, const Speed& after) {
  return {{"gemm_ns", (before.gemm_ns + after.gemm_ns) / 2}, {"copy_ns", (before.copy_ns + after.copy_ns) / 2}};
}

void Serve(const ServeRequest& request, const EventWriter& events) {
  const c10::InferenceMode inference;
  events.State("loading", "opening device " + request.device, 0.0);
  const at::Device device = OpenDevice(request.device);
  std::optional<c10::StreamGuard> stream;  // of all work, so that none waits for another stream
  MakeDeviceGraph make_graph;
  if (request.cuda_graphs) {
    stream.emplace(CaptureStream(device));
    make_graph = CudaGraphs();
  }
  const at::ScalarType dtype = ParseDtype(request.dtype);
  const ModelConfig config = ConfigOf(request);
  Inputs inputs = MakeInputs(request, config);  // all that is cheap to refuse comes before the weights

  const std::optional<std::string> weights_dir = request.random_weights ? std::nullopt : request.model_dir;
  events.State("loading", weights_dir ? "loading weights" : "making random weights", 0.2);
  const Clock::time_point load_start = Clock::now();
  const LoadedModel loaded = LoadModel(config, weights_dir, static_cast<uint64_t>(request.random_seed), dtype, device);
  const double load_seconds = std::chrono::duration<double>(Clock::now() - load_start).count();
  const DeviceInfo info = DescribeDevice(device);
  events.Write(
      {{"event", "loaded"},
       {"parameters", loaded.parameters},
       {"weight_bytes", loaded.weight_bytes},
       {"seconds", load_seconds},
       {"device", {{"name", info.name}, {"kind", info.kind}, {"driver", info.driver}, {"cores", info.cores}}}});

  const Request prepared = loaded.model->Prepare(inputs.views, std::move(inputs.ids));
  KvCache cache = loaded.model->MakeCache(request.workload.seq_len + request.workload.max_new_tokens - 1);
  events.Write({{"event", "prepared"},
                {"seq_len", prepared.ids.size()},
                {"image_tokens", inputs.layout.image_tokens()},
                {"crop_grid", {inputs.layout.crops_wide, inputs.layout.crops_high}}});

  std::optional<StaticDecoder> static_decoder;
  if (request.cuda_graphs) static_decoder.emplace(*loaded.model, cache, std::move(make_graph));
  const GenerateOptions options{.max_new_tokens = request.workload.max_new_tokens,
                                .static_decoder = static_decoder ? &*static_decoder : nullptr};
  const Generator generator(*loaded.model);
  Surroundings surroundings(device);
  std::vector<int64_t> tokens;
  const int total = request.warmup + request.repeats;
  for (int index = 0; index < total; ++index) {
    const bool is_warmup = index < request.warmup;
    events.State(is_warmup ? "warmup" : "measuring",
                 "request " + std::to_string(index + 1) + " of " + std::to_string(total) +
                     (request.cuda_graphs && index == 0 ? ", captures its decode steps as CUDA graphs" : ""),
                 static_cast<double>(index) / total);
    // Routing is the same in every request, so that the one that nobody measures is observed.
    const bool is_observed = is_warmup && index == 0;
    ExpertsHitCounter experts(config.decoder.n_routed_experts);
    const std::optional<Speed> before = is_warmup ? std::nullopt : surroundings.Now();
    const Clock::time_point start = Clock::now();
    const std::chrono::nanoseconds thread_start = ThreadTime();
    tokens = generator.Run(prepared, cache, options, is_observed ? Probe(&experts, "") : Probe());
    const std::chrono::nanoseconds thread_time = ThreadTime() - thread_start;
    const auto wall = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start);
    events.Write({{"event", "request"},
                  {"index", index},
                  {"warmup", is_warmup},
                  {"wall_ns", wall.count()},
                  {"off_cpu_ns", std::max<int64_t>(0, (wall - thread_time).count())},
                  {"probe", before ? MeanOf(*before, *surroundings.Now()) : Json()},
                  {"tokens", tokens}});
    if (is_observed) events.Experts(experts);
  }
  Json done = {
      {"event", "done"}, {"text", nullptr}, {"peak_rss_bytes", PeakRssBytes()}, {"kv_cache_bytes", cache.size_bytes()}};
  if (inputs.tokenizer) done["text"] = OutputText(*inputs.tokenizer, tokens, config.eos_token_id);
  is_finished = true;
  events.Write(done);
}

}  // namespace

int RunServe(int in_fd, int out_fd) {
  std::signal(SIGPIPE, SIG_IGN);
  const EventWriter events(out_fd);
  try {
    const std::optional<std::string> frame = ReadFrame(in_fd);
    if (!frame) return kExitCancelled;
    WatchForCancellation(in_fd);
    Serve(ParseServeRequest(*frame), events);
    return kExitDone;
  } catch (const InputError& error) {
    events.Error(EventCodeOf(error), error.what_failed(), error.why(), error.todo());
    return ExitCodeOf(error);
  } catch (const c10::OutOfMemoryError& error) {
    events.Error(ErrorCode::kResourceExhausted, "request", "out of device memory", "use a smaller workload");
  } catch (const std::bad_alloc&) {
    events.Error(ErrorCode::kResourceExhausted, "request", "out of memory", "use a smaller workload");
  } catch (const std::exception& error) {
    const std::string text = error.what();
    events.Error(ErrorCode::kInternal, "request", text.substr(0, text.find('\n')), "report it with the request");
  }
  return kExitFailed;
}

}  // namespace dsocr::model
