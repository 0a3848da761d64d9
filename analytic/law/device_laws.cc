#include "analytic/law/device_laws.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <variant>

#include "analytic/law/physics.h"

namespace dsocr::analytic {
namespace {

bool HasLaw(const LawModel& model, LawClass law_class) {
  const LawClass family = FamilyOf(law_class);
  return std::any_of(model.fits.begin(), model.fits.end(),
                     [family](const LawFit& fit) { return fit.law_class == family; });
}

OperatorSize WorkOfPiece(const Cost& cost, CategoryId category, int64_t contiguous = 0) {
  const PieceWork piece = PieceOf(cost);
  return WorkSize{.category = category,
                  .flops = piece.flops,
                  .vector_flops = piece.vector_flops,
                  .bytes = piece.bytes,
                  .launches = piece.launches,
                  .contiguous = static_cast<double>(contiguous)};
}

}  // namespace

Device WithLaws(const Device& datasheet, LawModel model, std::string calibration_id) {
  Device device = datasheet;
  device.laws = nullptr;
  device.calibration_id = std::move(calibration_id);
  device.laws = std::make_shared<const DeviceLaws>(DeviceLaws{std::move(model), device});
  return device;
}

OperatorSize SizeOf(const Operator& op, const Cost& cost, CategoryId category) {
  if (const auto* gemm = std::get_if<Gemm>(&op); gemm != nullptr && gemm->batch == 1) {
    return GemmSize{gemm->m, gemm->n, gemm->k};
  }
  // A bias as large as the scores is more traffic than all else. Who has a cache sees what came before alone.
  if (const auto* a = std::get_if<Attention>(&op); a != nullptr && !a->has_bias) {
    return AttentionSize{.batch = a->batch,
                         .seq_q = a->query_len,
                         .seq_kv = a->kv_len,
                         .heads = a->heads,
                         .kv_heads = a->kv_heads,
                         .head_dim = a->head_dim,
                         .is_causal = a->has_mask || a->kv_is_cached};
  }
  const auto* elementwise = std::get_if<Elementwise>(&op);
  return WorkOfPiece(cost, category, elementwise != nullptr ? elementwise->contiguous : 0);
}

LawAnswer AskLaws(const DeviceLaws& laws, const Operator& op, const Cost& cost, CategoryId category,
                  Precision precision) {
  OperatorSize size = SizeOf(op, cost, category);
  if (!HasLaw(laws.model, LawClassOf(size))) {
    size = WorkOfPiece(cost, category);
    if (!HasLaw(laws.model, LawClassOf(size))) {
      return {};
    }
  }
  const Estimate estimate = PredictOperator(laws.model, laws.device, size, precision);
  const PieceWork over = Over(PieceOf(cost), EfficiencyOf(category, precision, laws.device));
  const double datasheet_ns = PieceNs(over, RatesOf(precision, laws.device));
  LawAnswer answer;
  if (!(datasheet_ns > 0) || !(estimate.ns > 0)) {
    return answer;
  }
  answer.is_known = true;
  answer.ratio = estimate.ns / datasheet_ns;
  answer.error = {std::log(estimate.high_50_ns / estimate.ns), std::log(estimate.high_90_ns / estimate.ns)};
  answer.bound = estimate.bound;
  answer.provenance = estimate.provenance;
  answer.nearest = estimate.nearest;
  answer.distance = estimate.distance;
  return answer;
}

}  // namespace dsocr::analytic
