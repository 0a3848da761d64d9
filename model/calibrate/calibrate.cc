#include "model/calibrate/calibrate.h"

#include <torch/version.h>

#include <cctype>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <tuple>
#include <utility>
#include <variant>

#include "model/calibrate/measure.h"

namespace dsocr::model {
namespace {

using Json = nlohmann::ordered_json;

// Null where the point has none.
Json ToJson(const PointSize& size) {
  if (const auto* gemm = std::get_if<GemmShape>(&size)) {
    return {{"m", gemm->m}, {"n", gemm->n}, {"k", gemm->k}, {"count", gemm->batch}};
  }
  if (const auto* core = std::get_if<AttentionShape>(&size)) {
    return {{"batch", core->batch},    {"seq_q", core->query_len},   {"seq_kv", core->kv_len},   {"heads", core->heads},
            {"kv_heads", core->heads}, {"head_dim", core->head_dim}, {"causal", core->is_causal}};
  }
  return {};
}

Json ToJson(const MeasuredPoint& point) {
  Json json = {{"category", point.category}, {"name", point.name},
               {"flops", point.work.flops},  {"vector_flops", point.work.vector_flops},
               {"bytes", point.work.bytes},  {"launches", point.work.launches},
               {"time_ns", point.time_ns}};
  if (point.work.contiguous > 0) {
    json["contiguous"] = point.work.contiguous;
  }
  if (Json size = ToJson(point.size); !size.is_null()) {
    json["size"] = std::move(size);
  }
  return json;
}

// What a launch takes of the host, on average over the operators of a step of decode, where it is what decides.
double LaunchNs(const std::vector<MeasuredPoint>& points) {
  double host_ns = 0;
  double launches = 0;
  for (const MeasuredPoint& point : points) {
    if (point.name.starts_with("decode ")) {
      host_ns += point.host_ns;
      launches += static_cast<double>(point.work.launches);
    }
  }
  return launches > 0 ? host_ns / launches : 0;
}

// "sam window qkv " of "sam 640 window qkv".
std::string OperatorOf(const std::string& name) {
  std::istringstream words(name);
  std::string without_sizes;
  for (std::string word; words >> word;) {
    if (!std::isdigit(static_cast<unsigned char>(word[0]))) {
      without_sizes += word + " ";
    }
  }
  return without_sizes;
}

// Without points that do the work of an earlier one: windows are as many in views of 512 and 640.
std::vector<Group> WithoutTwins(std::vector<Group> groups) {
  std::set<std::tuple<std::string, int64_t, int64_t>> seen;
  for (Group& group : groups) {
    std::erase_if(group, [&seen](const Point& point) {
      return !seen.emplace(OperatorOf(point.name), point.work.flops, point.work.bytes).second;
    });
  }
  return groups;
}

}  // namespace

Suite PublishedSuite(const Bench& bench) {
  std::vector<Group> groups = {DecodeLayerPoints(bench), DecodeEndPoints(bench),    ClipPoints(bench, 10),
                               SamPoints(bench, 640),    PrefillPoints(bench, 512), ClipPoints(bench, 16),
                               SamPoints(bench, 1024),   PrefillPoints(bench, 128)};
  const size_t usual = groups.size();
  const std::vector<Group> smaller = {ProductPoints(bench), ClipPoints(bench, 2), SamPoints(bench, 64),
                                      DecodeCorePoints(bench, {64, 2048})};
  const std::vector<Group> between_and_beyond = {
      PrefillPoints(bench, 1024), PrefillPoints(bench, 32), ClipPoints(bench, 20),      SamPoints(bench, 256),
      PrefillPoints(bench, 256),  ClipPoints(bench, 8),     SamPoints(bench, 512),      PrefillPoints(bench, 64),
      ClipPoints(bench, 10, 3),   SamPoints(bench, 640, 3), PrefillPoints(bench, 2048), ClipPoints(bench, 10, 9),
      SamPoints(bench, 1280),     SamPoints(bench, 640, 9)};
  groups.insert(groups.end(), smaller.begin(), smaller.end());
  groups.insert(groups.end(), between_and_beyond.begin(), between_and_beyond.end());
  return {WithoutTwins(std::move(groups)), usual};
}

int RunCalibrate(at::Device device, const DeviceInfo& info, at::ScalarType dtype, double budget_s, std::ostream& out) {
  const Clock clock = SteadyClock();
  const double start = clock();
  Bench bench(device, dtype);
  SpeedProbe probe(device);
  std::optional<GpuTimer> gpu;
  if (!device.is_cpu()) {
    gpu.emplace(device);
  }
  const Timer timer = gpu ? Timer([&gpu](const Body& body) { return gpu->Time(body); }) : CpuTimer(clock);
  const Measurement measured = Measure(PublishedSuite(bench), bench, budget_s - (clock() - start), clock, timer,
                                       [&probe] { return probe.Measure(); });
  Json document;
  document["device"] = {{"name", info.name}, {"kind", info.kind}, {"driver", info.driver}, {"cores", info.cores}};
  document["dtype"] = dtype == at::kFloat ? "fp32" : "bf16";
  document["torch"] = TORCH_VERSION;
  document["seconds"] = clock() - start;
  document["probe"] = {{"gemm_ns", measured.speed.gemm_ns}, {"copy_ns", measured.speed.copy_ns}};
  if (gpu) {
    document["host"] = {{"launch_ns", LaunchNs(measured.points)}, {"wait_ns", gpu->WaitSeconds() * kNsPerSecond}};
  }
  document["discarded_share"] = measured.discarded_share;
  document["points"] = Json::array();
  for (const MeasuredPoint& point : measured.points) {
    document["points"].push_back(ToJson(point));
  }
  out << document.dump() << std::endl;
  return 0;
}

}  // namespace dsocr::model
