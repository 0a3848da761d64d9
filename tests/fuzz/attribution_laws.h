// What holds of the result of an attribution, whatever the records were that it folded.
#ifndef DSOCR_TESTS_FUZZ_ATTRIBUTION_LAWS_H_
#define DSOCR_TESTS_FUZZ_ATTRIBUTION_LAWS_H_

#include <cstdint>

#include "cupti/attribution/attribution.h"
#include "tests/fuzz/expect.h"

namespace dsocr {

inline void ExpectSumsClose(const attribution::Result& result) {
  int64_t self_ns = 0;
  for (const attribution::ModuleSum& module : result.request.modules) {
    self_ns += module.self_device_ns;
    int64_t by_category_ns = 0;
    for (const attribution::CategorySum& category : module.categories) {
      by_category_ns += category.device_ns;
    }
    Expect(by_category_ns == module.device_ns, "a module's categories are its time");
    Expect(module.device_ns >= module.self_device_ns, "a module's own time is part of its time");
  }
  Expect(self_ns == result.request.attributed_ns, "the modules' own times are what is attributed");
  if (result.gpu.has_value()) {
    for (const attribution::StreamLedger& row : result.gpu->streams) {
      Expect(row.launched == row.recorded + row.dropped + row.invalid + row.pending, "a stream's ledger closes");
    }
  }
  for (const attribution::JobModule& module : result.job_modules) {
    Expect(module.weight_shape.size() <= 4, "a module's weight has the sizes that fit into a record");
  }
}

}  // namespace dsocr

#endif  // DSOCR_TESTS_FUZZ_ATTRIBUTION_LAWS_H_
