#include <algorithm>
#include <cmath>
#include <limits>

#include "analytic/law/correction.h"
#include "analytic/law/law.h"
#include "analytic/law/work.h"

namespace dsocr::analytic {

double RooflineNs(const Device& device, const OperatorSize& size, Precision precision) {
  constexpr double kNsPerSecond = 1e9;
  const LawWork work = WorkOf(size, precision);
  return kNsPerSecond *
         std::max(work.flops / device.matrix_flops_per_s(precision), work.bytes / device.memory_bytes_per_s);
}

double NearestNs(const LawModel& model, const OperatorSize& size, Precision precision) {
  const LawCoordinates octaves = CoordinatesOf(size);
  double nearest = std::numeric_limits<double>::infinity(), time_ns = 0;
  for (const Sample& sample : model.samples) {
    if (sample.precision == precision && LawClassOf(sample.size) == LawClassOf(size)) {
      const LawCoordinates there = CoordinatesOf(sample.size);
      const double distance = SquaredDistance(octaves.data(), there.data(), octaves.size());
      if (distance < nearest) {
        nearest = distance;
        time_ns = sample.time_ns;
      }
    }
  }
  return time_ns;
}

double PaddedRooflineNs(const Device& device, const OperatorSize& size, Precision precision) {
  return 3000 + RooflineNs(device, size, precision) / 0.8;
}

}  // namespace dsocr::analytic
