#include "model/calibrate/measure.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <map>
#include <utility>

namespace dsocr::model {
namespace {

// A point is known well enough when its median has this standard error, as far as so many samples can tell.
constexpr double kEnoughError = 0.01;
constexpr size_t kFewestSamples = 5;

// A sample counts if the device was at most so much slower than usual beside it. Less is noise that requests meet as
// well, and that medians even out: to leave out all that a probe found 3 % slow costs more samples than it corrects. Of
// two calibrations after each other points were 24 % apart that way, and are 12 % (root mean square; 2 cores of an EPYC
// that others use as well).
constexpr double kMostSlowdown = 2;

// No sample is more than so many medians long when means are taken: what a page fault or a lost core adds to one call
// is no property of the operator.
constexpr double kLongestSample = 2;

// Of each point in turn, in one visit; the operands are made and a first call is wasted for each visit, all of them
// before the first turn: a call right after another of the same operator finds its operands in the caches.
constexpr int kTurns = 2;
// Of the points of the usual groups, before others are measured at all.
constexpr int kUsualTurns = 5;

// Between two probes: seconds, and for so many times the last probe where that is more.
constexpr double kProbeIntervalS = 2;
constexpr double kProbeIntervalRatio = 10;

struct Sample {
  Burst burst;
  size_t stretch = 0;  // of the speed log
};

struct Series {
  const Point* point = nullptr;
  std::vector<Sample> samples;
  Body body;          // of a visit; null without time for it
  double last_s = 0;  // of the last burst as a whole
};

struct Visited {
  std::vector<Series> series;
  int turns = 0;         // so far
  double turn_s = 0;     // how long one took in the last visit, with its share of what a visit costs
  bool is_done = false;  // every point is known, or there was no time for any
};

// What the model does most in it: arithmetic where there is any, else traffic.
double Amount(const Work& work) { return static_cast<double>(work.flops > 0 ? work.flops : work.bytes); }

// Seconds of the samples beside which the device was at most so many times as slow as usual, sorted.
std::vector<double> SortedSeconds(const std::vector<Sample>& samples, const SpeedLog& log, double slowdown) {
  std::vector<double> seconds;
  for (const Sample& sample : samples) {
    if (log.Slowdown(sample.stretch) <= slowdown) {
      seconds.push_back(sample.burst.call_s);
    }
  }
  std::ranges::sort(seconds);
  return seconds;
}

// REQUIRES: sorted, not empty.
double Median(const std::vector<double>& sorted) { return sorted[(sorted.size() - 1) / 2]; }

// The standard error of a median is half of what lies within as many places of it as half the root of their number,
// however they are distributed.
bool IsKnown(const std::vector<Sample>& samples, const SpeedLog& log) {
  const std::vector<double> seconds = SortedSeconds(samples, log, kMostSlowdown);
  if (seconds.size() < kFewestSamples) {
    return false;
  }
  const auto last = static_cast<double>(seconds.size() - 1);
  const double places = std::sqrt(static_cast<double>(seconds.size()));
  const double low = seconds[static_cast<size_t>(std::floor((last - places) / 2))];
  const double high = seconds[static_cast<size_t>(std::ceil((last + places) / 2))];
  return (high - low) / 2 <= kEnoughError * Median(seconds);
}

class Session {
 public:
  Session(Bench& bench, double budget_s, const Clock& clock, const Timer& timer, const std::function<Speed()>& probe)
      : bench_(bench), clock_(clock), timer_(timer), probe_(probe) {
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

  // Some turns of all points, unless every one of them is known: what is known is a neighbour of what is not.
  void Visit(Visited& group, int turns) {
    const double start_s = clock_();
    bool has_time = false;
    if (!std::ranges::all_of(group.series, [this](const Series& one) { return IsKnown(one.samples, log_); })) {
      for (Series& one : group.series) {
        Prepare(one);
      }
      for (int turn = 0; turn < turns; ++turn) {
        for (Series& one : group.series) {
          has_time = Take(one) || has_time;
        }
      }
      for (Series& one : group.series) {
        one.body = nullptr;
      }
      bench_.ForgetActivations();
    }
    group.turns += turns;
    group.turn_s = (clock_() - start_s) / turns;
    group.is_done = !has_time;
  }

 private:
  // The last burst of the operator that does most, of those so far. Smaller ones tell less of what a larger one will
  // take, and the first of all has the library's start in it.
  struct Largest {
    double amount = 0;
    double seconds = 0;
  };

  // Makes the operands and calls once, not counted: it faults memory in, ten times the work itself for the largest
  // tensors. Without time for it there is no body.
  void Prepare(Series& series) {
    if (clock_() + Expected(series) >= end_s_) {
      return;
    }
    series.body = series.point->prepare(bench_);
    Run(series);
    const bool starts_library = IsTelling(*series.point) && !largest_.contains(series.point->category);
    if (starts_library) {
      Run(series);
    }
    JudgeBy(series, /*is_warm=*/starts_library);
  }

  // Returns whether there was time.
  bool Take(Series& series) {
    if (clock_() >= next_probe_s_ && clock_() < end_s_) {
      Probe();
    }
    if (!series.body || clock_() + Expected(series) >= end_s_) {
      return false;
    }
    series.samples.push_back({Run(series), log_.stretch()});
    JudgeBy(series, /*is_warm=*/true);
    return true;
  }

  static bool IsTelling(const Point& point) {
    constexpr double kTellingAmount = 1e7;  // smaller operators are mostly overhead
    return Amount(point.work) >= kTellingAmount;
  }

  double Expected(const Series& series) const {
    constexpr double kSpread = 2;  // a busy machine may take this much longer than last time
    if (series.last_s > 0) {
      return kSpread * series.last_s;
    }
    const auto largest = largest_.find(series.point->category);
    return largest == largest_.end()
               ? 0
               : kSpread * largest->second.seconds * Amount(series.point->work) / largest->second.amount;
  }

  Burst Run(Series& series) {
    const Burst burst = timer_(series.body);
    series.last_s = burst.wall_s;
    return burst;
  }

  void JudgeBy(const Series& series, bool is_warm) {
    if (!IsTelling(*series.point)) {
      return;
    }
    const double amount = Amount(series.point->work);
    Largest& largest = largest_[series.point->category];
    if (amount > largest.amount || (is_warm && amount == largest.amount)) {
      largest = {amount, series.last_s};
    }
  }

  Bench& bench_;
  const Clock& clock_;
  const Timer& timer_;
  const std::function<Speed()>& probe_;
  double end_s_ = 0;
  double next_probe_s_ = 0;
  SpeedLog log_;
  std::map<std::string, Largest> largest_;  // by category
};

// Of all samples: neighbours of a GPU are not neighbours of its host.
double HostSeconds(const std::vector<Sample>& samples) {
  std::vector<double> seconds;
  for (const Sample& sample : samples) {
    seconds.push_back(sample.burst.host_s);
  }
  std::ranges::sort(seconds);
  return Median(seconds);
}

// What times add to each other with, over their medians: times of a request are summed, and noise makes calls longer,
// never shorter. The median of a point scatters less than its mean, and noise is of the machine and not of the point:
// so the mean over its median is one figure for all, the geometric mean of those of the points. 1.04 to 1.05 on 2 cores
// of an EPYC that others use as well.
class Skew {
 public:
  void Add(const std::vector<double>& sorted) {  // not empty
    const double longest = kLongestSample * Median(sorted);
    double sum = 0;
    for (const double seconds : sorted) {
      sum += std::min(seconds, longest);
    }
    sum_ += std::log(sum / static_cast<double>(sorted.size()) / Median(sorted));
    ++count_;
  }
  double Mean() const { return count_ > 0 ? std::exp(sum_ / count_) : 1; }

 private:
  double sum_ = 0;
  int count_ = 0;
};

Measurement Summary(const std::vector<Visited>& groups, const SpeedLog& log) {
  Measurement measurement;
  measurement.speed = log.Median();
  Skew skew;
  size_t samples = 0;
  size_t counted = 0;
  for (const Visited& group : groups) {
    for (const Series& one : group.series) {
      if (one.samples.empty()) {
        continue;
      }
      std::vector<double> seconds = SortedSeconds(one.samples, log, kMostSlowdown);
      samples += one.samples.size();
      counted += seconds.size();
      if (seconds.size() >= kFewestSamples) {
        skew.Add(seconds);
      }
      if (seconds.empty()) {
        seconds = SortedSeconds(one.samples, log, std::numeric_limits<double>::infinity());
      }
      const Point& point = *one.point;
      measurement.points.push_back({point.category, point.name, point.work, point.size, Median(seconds) * kNsPerSecond,
                                    HostSeconds(one.samples) * kNsPerSecond});
    }
  }
  for (MeasuredPoint& point : measurement.points) {
    point.time_ns = std::max(1.0, point.time_ns * skew.Mean());
  }
  if (samples > 0) {
    measurement.discarded_share = static_cast<double>(samples - counted) / static_cast<double>(samples);
  }
  return measurement;
}

// The group whose next turn does most for what is known of all, for its time: the variance of a median falls with the
// number of samples, and the sum of variances is least where numbers are as one over the root of the cost (Neyman).
// Null if all of them are done or have had `turns`.
Visited* Next(std::vector<Visited>& groups, size_t count, int turns) {
  Visited* next = nullptr;
  const auto spent = [](const Visited& group) { return group.turns * std::sqrt(group.turn_s); };
  for (size_t g = 0; g < count; ++g) {
    Visited& group = groups[g];
    if (!group.is_done && group.turns < turns && (next == nullptr || spent(group) < spent(*next))) {
      next = &group;
    }
  }
  return next;
}

}  // namespace

Measurement Measure(const Suite& suite, Bench& bench, double budget_s, const Clock& clock, const Timer& timer,
                    const std::function<Speed()>& probe) {
  const c10::InferenceMode inference;
  Session session(bench, budget_s, clock, timer, probe);
  std::vector<Visited> groups(suite.groups.size());
  for (size_t g = 0; g < suite.groups.size(); ++g) {
    for (const Point& point : suite.groups[g]) {
      groups[g].series.push_back({.point = &point});
    }
  }
  const auto visit = [&](size_t count, int most, int turns) {
    while (Visited* group = Next(groups, count, most)) {
      session.Visit(*group, turns);
    }
  };
  visit(suite.usual, 1, 1);
  visit(suite.usual, kUsualTurns, kTurns);
  visit(groups.size(), std::numeric_limits<int>::max(), kTurns);
  session.Probe();
  return Summary(groups, session.log());
}

}  // namespace dsocr::model
