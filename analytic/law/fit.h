// Learning one law from its rows: parameters of the physics and weights of the correction together, and what both miss.
#ifndef DSOCR_ANALYTIC_LAW_FIT_H_
#define DSOCR_ANALYTIC_LAW_FIT_H_

#include <vector>

#include "analytic/law/law.h"
#include "analytic/law/physics.h"

namespace dsocr::analytic {

// More rows than this are summarised by as many centres, spread as far apart as they go.
inline constexpr size_t kMostCentres = 768;

// REQUIRES: `rows` is not empty; indices into `samples`, all of one family and precision, in a canonical order.
// `prior` is PriorOf the family, or, to see what a term buys, one without it.
LawFit FitLaw(const Device& profile, const LawPrior& prior, const std::vector<Sample>& samples,
              const std::vector<int>& rows);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_LAW_FIT_H_
