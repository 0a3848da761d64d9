// What is told of one request, from its sums: by module, in order of first entry.
#ifndef DSOCR_CUPTI_ATTRIBUTION_DESCRIBE_H_
#define DSOCR_CUPTI_ATTRIBUTION_DESCRIBE_H_

#include <cstdint>
#include <vector>

#include "cupti/attribution/attribution.h"
#include "cupti/attribution/dictionary.h"
#include "cupti/attribution/duration_sketch.h"
#include "cupti/attribution/request_sums.h"

namespace dsocr::attribution {

// `durations` has a sketch of each module of the dictionary.
RequestSum Describe(const RequestSums& request, const Dictionary& dictionary,
                    const std::vector<DurationSketch>& durations);

// Of a request that goes on, parents before their children. `open` calls of each module are counted as well, so that a
// module is there while it runs for the first time.
std::vector<LiveModule> DescribeLive(const RequestSums& request, const Dictionary& dictionary,
                                     const std::vector<int64_t>& open);

}  // namespace dsocr::attribution

#endif  // DSOCR_CUPTI_ATTRIBUTION_DESCRIBE_H_
