// Which experts a request hits, and how often each is picked. The cost model has an expectation; this is the count.
#ifndef DSOCR_MODEL_EXPERTS_HIT_H_
#define DSOCR_MODEL_EXPERTS_HIT_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/probe.h"

namespace dsocr::model {

// Of one layer in one stage.
struct ExpertsHit {
  int64_t distinct = 0;        // experts that at least one token of a pass picked, summed over the passes
  std::vector<int64_t> picks;  // tokens that picked it, by index of the expert; empty: no pass was seen
};

struct LayerExperts {
  ExpertsHit prefill;
  ExpertsHit decode;
};

// Of the one request that it observes.
class ExpertsHitCounter : public Observer {
 public:
  explicit ExpertsHitCounter(int64_t experts) : experts_(experts) {}

  void See(const std::string& name, const at::Tensor& tensor) override;

  const std::map<int64_t, LayerExperts>& by_layer() const { return by_layer_; }

 private:
  const int64_t experts_;
  std::map<int64_t, LayerExperts> by_layer_;
};

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_EXPERTS_HIT_H_
