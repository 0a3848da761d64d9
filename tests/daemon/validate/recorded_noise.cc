#include "tests/daemon/validate/recorded_noise.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

namespace dsocr::validate {
namespace {

bool IsWithin(const std::string& module_id, const std::string& node) {
  return module_id == node || module_id.starts_with(node + "/");
}

}  // namespace

v1::RunRepeats ReadRecording(const std::string& path) {
  std::ifstream file(path);
  v1::RunRepeats recording;
  for (std::string line; std::getline(file, line);) {
    // Groups have commas in their ids, and stand in quotes.
    std::string id;
    if (line.starts_with('"')) {
      const size_t quote = line.find('"', 1);
      id = line.substr(1, quote - 1);
      line.erase(0, quote + 2);
    } else {
      id = line.substr(0, line.find(','));
      line.erase(0, id.size() + 1);
    }
    v1::ModuleTimes& module = *recording.add_modules();
    module.set_module_id(id);
    std::istringstream fields(line);
    std::string field;
    std::getline(fields, field, ',');
    module.set_operator_category(field);
    while (std::getline(fields, field, ',')) {
      module.add_self_time_ns(std::stoll(field));
    }
  }
  if (recording.modules().empty()) {
    std::abort();
  }
  return recording;
}

std::vector<std::pair<std::string, double>> MainModules(const v1::RunRepeats& recording, double min_share) {
  std::map<std::string, double> time_of;
  double total = 0;
  for (const v1::ModuleTimes& module : recording.modules()) {
    double sum = 0;
    for (const int64_t ns : module.self_time_ns()) {
      sum += static_cast<double>(ns);
    }
    total += sum;
    const std::string& id = module.module_id();
    for (size_t slash = id.find('/'); slash != std::string::npos; slash = id.find('/', slash + 1)) {
      time_of[id.substr(0, slash)] += sum;
    }
    time_of[id] += sum;
  }
  std::vector<std::pair<std::string, double>> main;
  for (const auto& [id, time] : time_of) {
    if (time >= min_share * total && time <= 0.5 * total) {
      main.emplace_back(id, time / total);
    }
  }
  return main;
}

v1::RunRepeats Resample(const v1::RunRepeats& recording, int count, int block, std::mt19937_64* random) {
  const int recorded = recording.modules(0).self_time_ns_size();
  std::vector<int> chosen;
  while (static_cast<int>(chosen.size()) < count) {
    const int start = static_cast<int>((*random)() % static_cast<uint64_t>(recorded - block + 1));
    for (int i = start; i < start + block && static_cast<int>(chosen.size()) < count; ++i) {
      chosen.push_back(i);
    }
  }
  v1::RunRepeats repeats;
  for (const v1::ModuleTimes& module : recording.modules()) {
    v1::ModuleTimes& drawn = *repeats.add_modules();
    drawn.set_module_id(module.module_id());
    drawn.set_operator_category(module.operator_category());
    for (const int i : chosen) {
      drawn.add_self_time_ns(module.self_time_ns(i));
    }
  }
  return repeats;
}

void SlowDown(const std::string& module_id, double by, v1::RunRepeats* repeats) {
  for (v1::ModuleTimes& module : *repeats->mutable_modules()) {
    if (IsWithin(module.module_id(), module_id)) {
      for (int64_t& ns : *module.mutable_self_time_ns()) {
        ns = std::llround(static_cast<double>(ns) * (1 + by));
      }
    }
  }
}

}  // namespace dsocr::validate
