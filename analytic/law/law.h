// Operator laws: the time of one operator on a device, from its size alone, learnt from measured rows.
//
// A law is physics with a few parameters (a floor and a soft roofline) times a smooth correction over the logarithms of
// the size. An operator that was measured gets its measured time. Every estimate carries intervals that were calibrated
// on rows that the law had not seen. docs/operator-laws.md has the equations and what each term buys.
//
// Everything here is a pure function of its arguments: safe from any thread, the same bits for the same rows in any
// order. Times are device times of a whole operator call, in ns.
#ifndef DSOCR_ANALYTIC_LAW_LAW_H_
#define DSOCR_ANALYTIC_LAW_LAW_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "analytic/category.h"
#include "analytic/device/device.h"
#include "analytic/law/size.h"
#include "analytic/operator_time.h"
#include "analytic/precision.h"

namespace dsocr::analytic {

// What accuracy is reported by. Skinny: at most 16 rows of x. Encoder: no mask; decode: one query against more keys.
// The last stands for as many as there are categories: operators by their work.
enum class LawClass { kGemm, kSkinnyGemm, kEncoderAttention, kPrefillAttention, kDecodeAttention, kMoe, kWork };
inline constexpr int kTableLawClassCount = 6;  // of sizes that tables of measured operators have
LawClass WorkClass(CategoryId category);
LawClass LawClassOf(const OperatorSize& size);
std::string_view LawClassName(LawClass law_class);  // "gemm", "skinny_gemm", "encoder_attention", …

std::string DescribeSize(const OperatorSize& size);  // "gemm m=512 n=1280 k=896", for a reader

struct Sample {
  OperatorSize size;
  Precision precision = Precision::kBf16;
  double time_ns = 0;  // of one call: a median or a mean of repeats
};

// What was learnt of one class in one precision; matrix products of both classes share a fit, which is kGemm's. Plain
// numbers, so that a file can hold them: written with 17 digits they predict the same bits.
struct LawFit {
  LawClass law_class = LawClass::kGemm;
  Precision precision = Precision::kBf16;
  std::vector<double> law;      // parameters of the physics, in the order of LawParameter
  std::vector<double> lengths;  // one a coordinate: octaves over which the correction forgets
  std::vector<double> box;      // where there are rows: the lowest of each coordinate, then the highest
  std::vector<int> rows;        // of LawModel::samples: the centres of the correction
  std::vector<double> centres;  // their coordinates over the lengths: the first of all centres, then the second, …
  std::vector<double> weights;  // one a centre
  std::vector<double>
      spread;  // by class: the 50 % and the 90 % quantile of held-out errors over what distance explains
  std::vector<double> scores;  // by class: number of held-out rows, their mean absolute error and its median, as shares
  bool operator==(const LawFit&) const = default;
};

struct LawModel {
  Device device;
  std::vector<Sample> samples;  // sorted; rows of one size and precision became one, their median
  std::vector<LawFit> fits;
};

// Learns from `samples`, which were measured on the device that `profile` describes. No samples: the datasheet alone.
// INVALID_ARGUMENT, naming the row by its index in `samples`: a size or a time that is not positive, an unknown
// routing, a time that no device of this profile can reach.
absl::StatusOr<LawModel> FitLaws(const Device& profile, std::vector<Sample> samples);

std::string_view ProvenanceName(Provenance provenance);

struct Estimate {
  double ns = 0;
  double low_50_ns = 0;
  double high_50_ns = 0;
  double low_90_ns = 0;
  double high_90_ns = 0;
  Bound bound = Bound::kMemory;
  Provenance provenance = Provenance::kDatasheet;
  int nearest = -1;     // of LawModel::samples, the one closest in size and of its class; -1: none
  double distance = 0;  // to it, in octaves
};

// `target` of another name than model.device is a transfer: what was learnt there with this device's profile. Allocates
// nothing.
// REQUIRES: a size that FitLaws takes.
Estimate PredictOperator(const LawModel& model, const Device& target, const OperatorSize& size, Precision precision);

// A profile for a device without a descriptor: peaks and floors as the rows show them.
Device EstimateDevice(std::string name, const std::vector<Sample>& samples);

// What any law has to beat. All in ns.
double RooflineNs(const Device& device, const OperatorSize& size, Precision precision);        // datasheet peaks
double PaddedRooflineNs(const Device& device, const OperatorSize& size, Precision precision);  // 3 us + roofline / 0.8
double NearestNs(const LawModel& model, const OperatorSize& size, Precision precision);  // 0: no sample of its class

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_LAW_LAW_H_
