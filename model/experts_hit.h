// How many experts a request hits: those that at least one token picks. The cost model has an expectation; this is the
// count.
#ifndef DSOCR_MODEL_EXPERTS_HIT_H_
#define DSOCR_MODEL_EXPERTS_HIT_H_

#include <cstdint>
#include <map>
#include <string>

#include "model/probe.h"

namespace dsocr::model {

struct ExpertsHit {
  int64_t prefill = 0;
  int64_t decode = 0;  // summed over the steps
};

// Of the one request that it observes.
class ExpertsHitCounter : public Observer {
 public:
  void See(const std::string& name, const at::Tensor& tensor) override;

  const std::map<int64_t, ExpertsHit>& by_layer() const { return by_layer_; }

 private:
  std::map<int64_t, ExpertsHit> by_layer_;
};

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_EXPERTS_HIT_H_
