#include "model/trace/shape_recorder.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <memory>

namespace dsocr::model {
namespace {

constinit thread_local ShapeRecorder* recorder = nullptr;

std::unique_ptr<at::ObserverContext> OnStart(const at::RecordFunction& function) {
  if (recorder->wants_input() && !function.inputs().empty() && function.inputs().front().isTensor()) {
    recorder->OnInput(function.inputs().front().toTensor().sizes().vec());
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
