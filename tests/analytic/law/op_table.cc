#include "tests/analytic/law/op_table.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <map>
#include <random>

#include "analytic/law/work.h"
#include "daemon/calibrate/operator_table.h"

namespace dsocr::analytic {

std::vector<Sample> ReadOpTable(const std::string& name) {
  std::ifstream file(DSOCR_SHARED_DIR "/reference/op_tables/" + name + ".csv.gz", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  return calibrate::ReadOperatorTable(bytes).value().rows;
}

std::vector<Sample> OfClasses(const std::vector<Sample>& samples, const std::vector<LawClass>& classes) {
  std::vector<Sample> chosen;
  for (const Sample& sample : samples) {
    if (std::count(classes.begin(), classes.end(), LawClassOf(sample.size)) > 0) {
      chosen.push_back(sample);
    }
  }
  return chosen;
}

Split Draw(const std::vector<Sample>& samples, size_t rows, double train_share, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::map<std::array<int64_t, 7>, std::vector<Sample>> by_unit;
  for (const Sample& sample : samples) {
    by_unit[HoldOutUnit(sample.size)].push_back(sample);
  }
  std::vector<const std::vector<Sample>*> units;
  for (const auto& [unit, members] : by_unit) {
    units.push_back(&members);
  }
  std::shuffle(units.begin(), units.end(), random);
  const size_t train_units = static_cast<size_t>(train_share * static_cast<double>(units.size()));
  Split split;
  for (size_t i = 0; i < units.size(); ++i) {
    std::vector<Sample>& side = i < train_units ? split.train : split.test;
    side.insert(side.end(), units[i]->begin(), units[i]->end());
  }
  std::shuffle(split.train.begin(), split.train.end(), random);
  split.train.resize(std::min(rows, split.train.size()));
  return split;
}

Accuracy Judge(const std::vector<Sample>& test, const std::function<Estimate(const Sample&)>& predict) {
  Accuracy accuracy;
  std::vector<double> errors;
  for (const Sample& sample : test) {
    const Estimate estimate = predict(sample);
    errors.push_back(std::abs(estimate.ns / sample.time_ns - 1));
    accuracy.mape += errors.back();
    accuracy.cover_50 += estimate.low_50_ns <= sample.time_ns && sample.time_ns <= estimate.high_50_ns ? 1 : 0;
    accuracy.cover_90 += estimate.low_90_ns <= sample.time_ns && sample.time_ns <= estimate.high_90_ns ? 1 : 0;
    accuracy.width_90 += estimate.ns > 0 ? std::log(estimate.high_90_ns / estimate.ns) : 0;
  }
  const double n = static_cast<double>(test.size());
  std::sort(errors.begin(), errors.end());
  accuracy.rows = n;
  accuracy.mape /= n;
  accuracy.cover_50 /= n;
  accuracy.cover_90 /= n;
  accuracy.width_90 = std::exp(accuracy.width_90 / n);
  accuracy.median = errors[errors.size() / 2];
  accuracy.p90 = errors[errors.size() * 9 / 10];
  return accuracy;
}

Accuracy JudgeModel(const LawModel& model, const Device& target, const std::vector<Sample>& test) {
  return Judge(test, [&](const Sample& s) { return PredictOperator(model, target, s.size, s.precision); });
}

Accuracy Study(const Device& device, const std::vector<Sample>& samples, size_t rows, double train_share, int splits) {
  Accuracy mean;
  for (int seed = 0; seed < splits; ++seed) {
    const Split split = Draw(samples, rows, train_share, static_cast<uint64_t>(seed));
    const Accuracy one = JudgeModel(FitLaws(device, split.train).value(), device, split.test);
    for (double Accuracy::*figure : {&Accuracy::rows, &Accuracy::mape, &Accuracy::median, &Accuracy::p90,
                                     &Accuracy::cover_50, &Accuracy::cover_90, &Accuracy::width_90}) {
      mean.*figure += one.*figure / splits;
    }
  }
  return mean;
}

Accuracy LeaveOneModelOut(const Device& device, const std::vector<Sample>& moe) {
  std::map<std::array<int64_t, 7>, int> models;
  for (const Sample& sample : moe) {
    ++models[HoldOutUnit(sample.size)];
  }
  std::vector<Sample> order;
  std::vector<Estimate> estimates;
  for (const auto& [model, count] : models) {
    Split split;
    for (const Sample& sample : moe) {
      (HoldOutUnit(sample.size) == model ? split.test : split.train).push_back(sample);
    }
    const LawModel laws = FitLaws(device, split.train).value();
    for (const Sample& sample : split.test) {
      order.push_back(sample);
      estimates.push_back(PredictOperator(laws, device, sample.size, sample.precision));
    }
  }
  size_t next = 0;
  return Judge(order, [&](const Sample&) { return estimates[next++]; });
}

}  // namespace dsocr::analytic
