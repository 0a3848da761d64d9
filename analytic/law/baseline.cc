#include <algorithm>
#include <cmath>
#include <limits>

#include "analytic/law/law.h"
#include "analytic/law/work.h"

namespace dsocr::analytic {

double RooflineNs(const Device& device, const OperatorSize& size, Precision precision) {
  constexpr double kNsPerSecond = 1e9;
  const LawWork work = WorkOf(size, precision);
  return kNsPerSecond *
         std::max(work.flops / device.matrix_flops_per_s(precision), work.bytes / device.memory_bytes_per_s);
}

double PaddedRooflineNs(const Device& device, const OperatorSize& size, Precision precision) {
  return 3000 + RooflineNs(device, size, precision) / 0.8;
}

}  // namespace dsocr::analytic
