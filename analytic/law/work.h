// What an operator size asks of a device, whatever the device, and where it lies among other sizes.
#ifndef DSOCR_ANALYTIC_LAW_WORK_H_
#define DSOCR_ANALYTIC_LAW_WORK_H_

#include <array>
#include <string_view>

#include "analytic/law/law.h"

namespace dsocr::analytic {

struct LawWork {
  double flops = 0;
  double vector_flops = 0;
  double bytes = 0;         // each operand once, weights of the experts that are used
  double weight_bytes = 0;  // of those, what is the same in every call
  double reuse_bytes = 0;   // touched until the weights are used again; 0: they are not
  double steps = 0;         // one after another, however wide the device: see physics.h
  double launches = 1;      // each has the floor
};
LawWork WorkOf(const OperatorSize& size, Precision precision);

// Logarithms to base 2 of what shapes the time of a class, in octaves; those past the class's number are 0.
inline constexpr int kMaxCoordinates = 6;
using LawCoordinates = std::array<double, kMaxCoordinates>;
LawCoordinates CoordinatesOf(const OperatorSize& size);
int CoordinateCount(LawClass family);
// Octaves over which the correction forgets, by coordinate.
LawCoordinates LengthsOf(LawClass family);

// Sizes of one unit share most of their kernels: rows of it are held out together. A gemm's (n, k), the size of an
// attention, a model's experts.
std::array<int64_t, 7> HoldOutUnit(const OperatorSize& size);

// The mean number of experts that the tokens reach. REQUIRES: a routing that IsRouting.
double DistinctExperts(const MoeSize& size);
bool IsRouting(std::string_view routing);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_LAW_WORK_H_
