#include "model/calibrate/measure.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <map>

namespace dsocr::model {
namespace {

// More do not move the median on a quiet machine: 5 and 10 agree within 2 % for points over 1 ms (2 cores of an EPYC,
// bf16).
constexpr int kEnoughSamples = 8;

// Calls between two synchronisations on a GPU: the host runs ahead, as it does in the model.
constexpr int kBurst = 16;

// Between two probes: seconds, and for so many times the last probe where that is more.
constexpr double kProbeIntervalS = 2;
constexpr double kProbeIntervalRatio = 10;

struct Sample {
  double seconds = 0;  // of a call
  size_t stretch = 0;  // of the speed log
};

struct Series {
  const Point* point = nullptr;
  std::vector<Sample> samples;
  Body body;          // made at the first turn of a visit
  double last_s = 0;  // of the last sample as a whole, a burst where it is one
};

// What the model does most in it: arithmetic where there is any, else traffic.
double Amount(const Work& work) { return static_cast<double>(work.flops > 0 ? work.flops : work.bytes); }

class Session {
 public:
  Session(Bench& bench, double budget_s, const Clock& clock, const std::function<Speed()>& probe)
      : bench_(bench), clock_(clock), probe_(probe), calls_(bench.device().is_cpu() ? 1 : kBurst) {
    const double start_s = clock();
    end_s_ = start_s + budget_s - Probe();  // the last probe takes as long
  }

  const SpeedLog& log() const { return log_; }

  // Returns how long it took.
  double Probe() {
    const double start_s = clock_();
    log_.Add(probe_());
    const double end_s = clock_();
    next_probe_s_ = end_s + std::max(kProbeIntervalS, kProbeIntervalRatio * (end_s - start_s));
    return end_s - start_s;
  }

  // Whether there was time for a sample of any of them.
  bool Visit(const std::vector<Series*>& series, int turns) {
    bool has_time = false;
    for (int turn = 0; turn < turns; ++turn) {
      for (Series* one : series) {
        has_time = Take(*one) || has_time;
      }
    }
    for (Series* one : series) {
      one->body = nullptr;
    }
    return has_time;
  }

 private:
  bool Take(Series& series) {
    if (clock_() >= next_probe_s_ && clock_() < end_s_) {
      Probe();
    }
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
    series.samples.push_back({Run(series), log_.stretch()});
    return true;
  }

  double Expected(const Series& series) const {
    constexpr double kSpread = 2;  // a busy machine may take this much longer than last time
    if (series.last_s > 0) {
      return kSpread * series.last_s;
    }
    const auto rate = slowest_seconds_.find(series.point->category);
    return rate == slowest_seconds_.end() ? 0 : kSpread * rate->second * Amount(series.point->work) * calls_;
  }

  // Seconds of one call.
  double Run(Series& series) {
    constexpr double kTellingAmount = 1e7;  // smaller operators are mostly overhead
    bench_.Synchronize();
    const double start = clock_();
    for (int i = 0; i < calls_; ++i) {
      series.body();
    }
    bench_.Synchronize();
    series.last_s = clock_() - start;
    if (const double amount = Amount(series.point->work); amount >= kTellingAmount) {
      double& slowest = slowest_seconds_[series.point->category];
      slowest = std::max(slowest, series.last_s / (amount * calls_));
    }
    return series.last_s / calls_;
  }

  Bench& bench_;
  const Clock& clock_;
  const std::function<Speed()>& probe_;
  const int calls_;
  double end_s_ = 0;
  double next_probe_s_ = 0;
  SpeedLog log_;
  std::map<std::string, double> slowest_seconds_;  // for one flop, or one byte, by category
};

auto QuietCount(const std::vector<Sample>& samples, const SpeedLog& log) {
  return std::count_if(samples.begin(), samples.end(), [&](const Sample& s) { return log.IsQuiet(s.stretch); });
}

// The median over quiet samples, else over those that were disturbed least. REQUIRES: at least one sample.
double TimeOf(const std::vector<Sample>& samples, const SpeedLog& log) {
  double best = log.Slowdown(samples.front().stretch);
  for (const Sample& sample : samples) {
    best = std::min(best, log.Slowdown(sample.stretch));
  }
  const double limit = best <= SpeedLog::kQuietRatio ? SpeedLog::kQuietRatio : best * SpeedLog::kQuietRatio;
  std::vector<double> seconds;
  for (const Sample& sample : samples) {
    if (log.Slowdown(sample.stretch) <= limit) {
      seconds.push_back(sample.seconds);
    }
  }
  const auto middle = seconds.begin() + static_cast<std::ptrdiff_t>((seconds.size() - 1) / 2);
  std::nth_element(seconds.begin(), middle, seconds.end());
  return *middle;
}

Measurement Summary(const std::vector<std::vector<Series>>& series, const SpeedLog& log) {
  Measurement measurement;
  measurement.speed = log.Quiet();
  std::ptrdiff_t samples = 0;
  std::ptrdiff_t quiet = 0;
  for (const std::vector<Series>& group : series) {
    for (const Series& one : group) {
      if (one.samples.empty()) {
        continue;
      }
      samples += std::ssize(one.samples);
      quiet += QuietCount(one.samples, log);
      const Point& point = *one.point;
      measurement.points.push_back(
          {point.category, point.name, point.work, point.size, std::max(1.0, TimeOf(one.samples, log) * kNsPerSecond)});
    }
  }
  if (samples > 0) {
    measurement.discarded_share = static_cast<double>(samples - quiet) / static_cast<double>(samples);
  }
  return measurement;
}

struct Pass {
  bool is_complete = true;  // no point needed a sample
  bool has_time = false;    // there was time for one, or none was needed
};

// Visits the first `count` groups for the points that have fewer than `wanted` quiet samples.
Pass VisitGroups(const Suite& suite, size_t count, int wanted, bool is_single, Session& session,
                 std::vector<std::vector<Series>>& series) {
  Pass pass;
  for (size_t g = 0; g < count; ++g) {
    std::vector<Series*> lacking;
    for (Series& one : series[g]) {
      if (QuietCount(one.samples, session.log()) < wanted) {
        lacking.push_back(&one);
      }
    }
    pass.is_complete = pass.is_complete && lacking.empty();
    pass.has_time = session.Visit(lacking, is_single ? 1 : suite.groups[g].turns) || pass.has_time;
  }
  pass.has_time = pass.has_time || pass.is_complete;
  return pass;
}

}  // namespace

Measurement Measure(const Suite& suite, Bench& bench, double budget_s, const Clock& clock,
                    const std::function<Speed()>& probe) {
  const c10::InferenceMode inference;
  Session session(bench, budget_s, clock, probe);
  std::vector<std::vector<Series>> series(suite.groups.size());
  for (size_t g = 0; g < suite.groups.size(); ++g) {
    for (const Point& point : suite.groups[g].points) {
      series[g].push_back({.point = &point});
    }
  }
  VisitGroups(suite, suite.usual, 1, /*is_single=*/true, session, series);
  VisitGroups(suite, suite.usual, 2, /*is_single=*/false, session, series);
  bool has_time = true;
  for (int wanted = 1; has_time && wanted <= kEnoughSamples;) {
    const Pass pass = VisitGroups(suite, suite.groups.size(), wanted, /*is_single=*/false, session, series);
    has_time = pass.has_time;
    wanted += pass.is_complete ? 1 : 0;
  }
  session.Probe();
  return Summary(series, session.log());
}

}  // namespace dsocr::model
