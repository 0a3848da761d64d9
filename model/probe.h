// A window onto intermediate tensors, for `verify` and tests. Off, it costs one branch.
#ifndef DSOCR_MODEL_PROBE_H_
#define DSOCR_MODEL_PROBE_H_

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>

namespace dsocr::model {

// Sees tensors by the names of the fixtures' expected.safetensors, those of a decode step behind "step.". The tensor
// may be overwritten as soon as See returns.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void See(const std::string& name, const at::Tensor& tensor) = 0;
};

// An observer (or none) and the prefix of the names that a module hands to it.
class Probe {
 public:
  Probe() = default;
  Probe(Observer* observer, std::string prefix) : observer_(observer), prefix_(std::move(prefix)) {}

  bool is_on() const { return observer_ != nullptr; }

  // Builds no string where nobody looks.
  Probe Sub(const std::string& prefix) const { return is_on() ? Probe(observer_, prefix_ + prefix) : Probe(); }
  Probe Sub(const char* prefix, int64_t index) const {
    return is_on() ? Probe(observer_, prefix_ + prefix + std::to_string(index)) : Probe();
  }
  void operator()(const char* name, const at::Tensor& tensor) const {
    if (is_on()) observer_->See(prefix_ + name, tensor);
  }

 private:
  Observer* observer_ = nullptr;
  std::string prefix_;
};

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_PROBE_H_
