// What a device was measured to do, as the cost model asks for it.
//
// The cost model prices an operator from the datasheet, and the laws say how much longer it takes on the device as it
// was measured: a ratio, so that a scenario may change a peak, or deal the work out over devices, and keep what was
// learnt.
#ifndef DSOCR_ANALYTIC_LAW_DEVICE_LAWS_H_
#define DSOCR_ANALYTIC_LAW_DEVICE_LAWS_H_

#include "analytic/category.h"
#include "analytic/device/device.h"
#include "analytic/law/law.h"
#include "analytic/op/operator.h"
#include "analytic/operator_time.h"
#include "analytic/precision.h"

namespace dsocr::analytic {

struct DeviceLaws {
  LawModel model;
  // The device that predictions are for, as it is without scenarios and without laws. Where the laws were learnt on
  // another one, they are transferred.
  Device device;
};

// A copy of `datasheet` with the laws of `model`.
Device WithLaws(const Device& datasheet, LawModel model, std::string calibration_id);

// How laws know one of the equal pieces of a call: by its sizes, or by its work. REQUIRES: cost.pieces > 0.
OperatorSize SizeOf(const Operator& op, const Cost& cost, CategoryId category);

// What the laws say of one piece. REQUIRES: cost is CostOf(op, precision), cost.pieces > 0.
struct LawAnswer {
  bool is_known = false;  // false: no law of the operator's class, all below is that of a datasheet
  double ratio = 1;       // time on the device over PieceNs of the piece
  PredictionError error = kDatasheetError;
  Bound bound = Bound::kMemory;
  Provenance provenance = Provenance::kDatasheet;
  int nearest = -1;  // of LawModel::samples
  double distance = 0;
};
LawAnswer AskLaws(const DeviceLaws& laws, const Operator& op, const Cost& cost, CategoryId category,
                  Precision precision);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_LAW_DEVICE_LAWS_H_
