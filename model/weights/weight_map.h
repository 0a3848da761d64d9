// Weights by name, on their way from a source (checkpoint.h, random.h) into the modules.
#ifndef DSOCR_MODEL_WEIGHTS_WEIGHT_MAP_H_
#define DSOCR_MODEL_WEIGHTS_WEIGHT_MAP_H_

#include <ATen/core/Tensor.h>

#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>

namespace dsocr::model {

class WeightMap {
 public:
  void Put(std::string name, at::Tensor tensor) { tensors_.insert_or_assign(std::move(name), std::move(tensor)); }

  // Hands the tensor out; each name once. A name that is not there is a defect of ListWeights or of the module, not of
  // the input.
  at::Tensor Take(const std::string& name) {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) throw std::logic_error("weight '" + name + "' is not listed, or was taken twice");
    at::Tensor tensor = std::move(found->second);
    tensors_.erase(found);
    return tensor;
  }

  const std::unordered_map<std::string, at::Tensor>& tensors() const { return tensors_; }

 private:
  std::unordered_map<std::string, at::Tensor> tensors_;
};

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_WEIGHTS_WEIGHT_MAP_H_
