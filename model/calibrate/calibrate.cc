#include "model/calibrate/calibrate.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

namespace dsocr::model {
namespace {

// More rounds do not move the median on a quiet machine: 5 and 10 agree within 2 % for points over 1 ms (2 cores of an
// EPYC, bf16).
constexpr int kMaxRounds = 8;

// Calls between two synchronisations on a GPU: the host runs ahead, as it does in the model.
constexpr int kBurst = 16;

constexpr double kNsPerSecond = 1e9;

using Json = nlohmann::ordered_json;

struct Series {
  const Point* point = nullptr;
  Body body;                    // made at the first turn
  std::vector<double> samples;  // seconds a call
  double last_s = 0;            // of the last sample as a whole, a burst where it is one
};

double Median(std::vector<double> samples) {
  const auto middle = samples.begin() + static_cast<std::ptrdiff_t>((samples.size() - 1) / 2);
  std::nth_element(samples.begin(), middle, samples.end());
  return *middle;
}

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
  if (Json size = ToJson(point.size); !size.is_null()) {
    json["size"] = std::move(size);
  }
  return json;
}

class Session {
 public:
  Session(Bench& bench, double budget_s, const Clock& clock)
      : bench_(bench), clock_(clock), calls_(bench.device().is_cpu() ? 1 : kBurst), end_s_(clock() + budget_s) {}

  // False where the budget does not allow it.
  bool Take(Series& series) {
    if (clock_() + Expected(series) >= end_s_) {
      return false;
    }
    if (!series.body) {
      series.body = series.point->prepare(bench_);
      Run(series);  // not counted: it faults its memory in, ten times the work itself for the largest tensors
      if (clock_() + series.last_s >= end_s_) {
        return false;
      }
    }
    series.samples.push_back(Run(series));
    return true;
  }

 private:
  double Expected(const Series& series) const {
    const double flops = static_cast<double>(series.point->work.flops) * calls_;
    return kSpread * (series.body ? series.last_s : flops * slowest_seconds_per_flop_);
  }

  // Seconds of one call.
  double Run(Series& series) {
    bench_.Synchronize();
    const double start = clock_();
    for (int i = 0; i < calls_; ++i) {
      series.body();
    }
    bench_.Synchronize();
    series.last_s = clock_() - start;
    const double flops = static_cast<double>(series.point->work.flops) * calls_;
    if (flops >= kTellingFlops) {
      slowest_seconds_per_flop_ = std::max(slowest_seconds_per_flop_, series.last_s / flops);
    }
    return series.last_s / calls_;
  }

  static constexpr double kTellingFlops = 1e8;  // smaller operators are mostly overhead
  static constexpr double kSpread = 2;          // a busy machine may take this much longer than last time

  Bench& bench_;
  const Clock& clock_;
  const int calls_;
  const double end_s_;
  double slowest_seconds_per_flop_ = 0;
};

}  // namespace

Clock SteadyClock() {
  return [] { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); };
}

std::vector<MeasuredPoint> Measure(const std::vector<Group>& groups, Bench& bench, double budget_s,
                                   const Clock& clock) {
  const c10::InferenceMode inference;
  Session session(bench, budget_s, clock);
  std::vector<std::vector<Series>> series(groups.size());
  for (size_t g = 0; g < groups.size(); ++g) {
    for (const Point& point : groups[g].points) {
      series[g].push_back({.point = &point});
    }
  }
  bool has_time = true;
  for (int round = 0; round < kMaxRounds && has_time; ++round) {
    has_time = false;
    for (size_t g = 0; g < groups.size(); ++g) {
      for (int turn = 0; turn < groups[g].turns; ++turn) {
        for (Series& one : series[g]) {
          has_time = session.Take(one) || has_time;
        }
      }
    }
  }
  std::vector<MeasuredPoint> measured;
  for (const std::vector<Series>& group : series) {
    for (const Series& one : group) {
      if (!one.samples.empty()) {
        const double time_ns = std::max(1.0, Median(one.samples) * kNsPerSecond);
        measured.push_back({one.point->category, one.point->name, one.point->work, one.point->size, time_ns});
      }
    }
  }
  return measured;
}

std::vector<Group> PublishedGroups(const Bench& bench) {
  constexpr int kDecodeTurns = 6;  // short operators: more samples for the same time
  return {{DecoderPoints(bench, 1, 512), kDecodeTurns},
          {ClipPoints(bench, 10)},
          {SamPoints(bench, 640)},
          {DecoderPoints(bench, 512, 512)},
          {ClipPoints(bench, 16)},
          {SamPoints(bench, 1024)},
          {DecoderPoints(bench, 128, 128)},
          {DecoderPoints(bench, 1024, 1024)}};
}

int RunCalibrate(at::Device device, const DeviceInfo& info, at::ScalarType dtype, double budget_s, std::ostream& out) {
  const Clock clock = SteadyClock();
  const double start = clock();
  Bench bench(device, dtype);
  Json document;
  document["device"] = {{"name", info.name}, {"kind", info.kind}, {"driver", info.driver}, {"cores", info.cores}};
  document["dtype"] = dtype == at::kFloat ? "fp32" : "bf16";
  const std::vector<MeasuredPoint> points = Measure(PublishedGroups(bench), bench, budget_s, clock);
  document["seconds"] = clock() - start;
  document["points"] = Json::array();
  for (const MeasuredPoint& point : points) {
    document["points"].push_back(ToJson(point));
  }
  out << document.dump() << std::endl;
  return 0;
}

}  // namespace dsocr::model
