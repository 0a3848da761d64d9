// The census of a request: which operators dsocr-runner dispatches on a CPU, module by module.
//
// A profiler of a CPU counts the outermost ATen calls of a thread, views and casts among them. What they are follows
// from the runner's code alone (model/), for it makes the same calls on every processor and in every precision
// (model/products.h): from the sizes of a pass, and, of the routed experts, from how many of them its tokens pick. So
// the census says nothing about a job of other code, a GPU's kernels or a predicted time, all of which go by
// Cost::launches.
//
// Counts are of torch 2.11. They depend on it in that a method of a tensor that has nothing to do, such as contiguous()
// of what is contiguous, makes no call.
#ifndef DSOCR_ANALYTIC_CENSUS_H_
#define DSOCR_ANALYTIC_CENSUS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "analytic/category.h"
#include "analytic/module/tree.h"

namespace dsocr::analytic {

// Operators of one category, so many times.
struct CensusEntry {
  CategoryId category;
  std::string operators;  // ATen's names without "aten::", separated by blanks
  double times = 1;       // a fraction where it is an expectation

  double count() const;
};

// Whether dsocr-runner is what runs the model: DeepSeek-OCR, with CLIP as its encoder.
bool HasCensus(const ModuleTree& tree);

// What one call of a module dispatches itself, its children apart, in a pass of a request with so many groups of views.
// Of one category but for the routed experts. Empty where all that a module does is in its children.
// REQUIRES: HasCensus(tree); a batch of one, for the runner takes one page at a time.
std::vector<CensusEntry> CensusOf(const ModuleTree& tree, const Node& node, const Frame& pass, size_t view_groups);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_CENSUS_H_
