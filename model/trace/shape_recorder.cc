#include "model/trace/shape_recorder.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <memory>
#include <string_view>

namespace dsocr::model {
namespace {

constinit thread_local ShapeRecorder* recorder = nullptr;

std::unique_ptr<at::ObserverContext> OnStart(const at::RecordFunction& function) {
  const std::string_view name = function.name();
  const size_t operand = name == "aten::embedding" ? 1 : 0;  // the table comes before the ids
  const bool is_of_weight = name == "aten::t";               // a linear turns its weight first
  if (recorder->wants_input() && !is_of_weight && function.inputs().size() > operand &&
      function.inputs()[operand].isTensor()) {
    recorder->OnInput(function.inputs()[operand].toTensor().sizes().vec());
  }
  return nullptr;
}

void OnEnd(const at::RecordFunction& function, at::ObserverContext*) {
  if (!function.outputs().empty() && function.outputs().front().isTensor()) {
    recorder->OnOutput(function.outputs().front().toTensor().sizes().vec());
  }
}

}  // namespace

ShapeRecorder::ShapeRecorder()
    : callback_(at::addThreadLocalCallback(at::RecordFunctionCallback(OnStart, OnEnd)
                                               .needsInputs(true)
                                               .needsOutputs(true)
                                               .scopes({at::RecordScope::FUNCTION}))) {
  recorder = this;
  range_observer = this;
}

ShapeRecorder::~ShapeRecorder() {
  at::removeCallback(callback_);
  range_observer = nullptr;
  recorder = nullptr;
}

// The ranges that were entered since the operator before.
void ShapeRecorder::OnInput(const Shape& shape) {
  for (auto range = open_.rbegin(); range != open_.rend() && !range->has_input; ++range) {
    range->input = shape;
    range->has_input = true;
  }
}

void ShapeRecorder::Leave() {
  const CallShapes call{std::move(open_.back().input), last_output_};
  std::vector<CallShapes>& calls = calls_[open_.back().name->id()];
  if (std::find(calls.begin(), calls.end(), call) == calls.end()) calls.push_back(call);
  open_.pop_back();
}

}  // namespace dsocr::model
