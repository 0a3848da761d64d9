#include "model/trace/flop_counter.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include <array>
#include <memory>
#include <numeric>
#include <string_view>

namespace dsocr::model {
namespace {

constinit thread_local FlopCounter* counter = nullptr;

// Where each counted operator holds the operand that says how many products an output element sums.
struct CountedOperator {
  std::string_view name;
  size_t operand;
  bool is_convolution;
};
constexpr std::array<CountedOperator, 5> kCounted = {{{"aten::mm", 0, false},
                                                      {"aten::addmm", 1, false},
                                                      {"aten::bmm", 0, false},
                                                      {"aten::baddbmm", 1, false},
                                                      {"aten::convolution", 1, true}}};

// From the start of an operator, when its inputs can be seen, to its end, when its output can.
struct Pending final : at::ObserverContext {
  explicit Pending(int64_t depth) : depth(depth) {}
  int64_t depth;
};

std::unique_ptr<at::ObserverContext> OnStart(const at::RecordFunction& function) {
  const std::string_view name = function.name();
  for (const CountedOperator& counted : kCounted) {
    if (name != counted.name) continue;
    const at::Tensor& operand = function.inputs().at(counted.operand).toTensor();
    // A product sums over the last dimension of its left side, a convolution over all of the weight's but the first.
    return std::make_unique<Pending>(counted.is_convolution ? operand.numel() / operand.size(0) : operand.size(-1));
  }
  return nullptr;
}

void OnEnd(const at::RecordFunction& function, at::ObserverContext* context) {
  if (context == nullptr || function.outputs().empty()) return;
  counter->Add(function.name(), function.outputs().front().toTensor().numel(), static_cast<Pending*>(context)->depth);
}

}  // namespace

int64_t RangeFlops::total() const {
  return std::accumulate(flops.begin(), flops.end(), int64_t{0},
                         [](int64_t sum, const auto& entry) { return sum + entry.second; });
}

FlopCounter::FlopCounter()
    : callback_(at::addThreadLocalCallback(at::RecordFunctionCallback(OnStart, OnEnd)
                                               .needsInputs(true)
                                               .needsOutputs(true)
                                               .scopes({at::RecordScope::FUNCTION}))) {
  counter = this;
  range_observer = this;
}

FlopCounter::~FlopCounter() {
  at::removeCallback(callback_);
  range_observer = nullptr;
  counter = nullptr;
}

void FlopCounter::Add(const char* name, int64_t elements, int64_t depth) {
  RangeFlops& range = counts_[open_.empty() ? "" : open_.back()->id()];
  range.flops[name] += 2 * elements * depth;
  range.activations += elements;
}

}  // namespace dsocr::model
