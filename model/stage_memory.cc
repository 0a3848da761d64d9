#include "model/stage_memory.h"

#include <algorithm>
#include <cassert>

namespace dsocr::model {
namespace {

constinit thread_local StageMemoryRecorder* recorder = nullptr;

}  // namespace

StageMemoryRecorder::StageMemoryRecorder(AllocationCounter& counter)
    : counter_(counter),
      stages_({{.name = "sam", .module_id = "vision/sam"},
               {.name = "clip", .module_id = "vision/clip"},
               {.name = "projector", .module_id = "projector"},
               {.name = "prefill", .module_id = "prefill"},
               {.name = "decode", .module_id = "decode"}}) {
  assert(recorder == nullptr && range_observer == nullptr);
  recorder = this;
  range_observer = this;
  callback_ =
      at::addThreadLocalCallback(at::RecordFunctionCallback(OnStart, OnEnd).scopes({at::RecordScope::FUNCTION}));
}

StageMemoryRecorder::~StageMemoryRecorder() {
  at::removeCallback(callback_);
  range_observer = nullptr;
  recorder = nullptr;
}

void StageMemoryRecorder::Enter(const RangeName& name) {
  OpenRange range = {&name.id(), counter_.live_bytes(), nullptr, 0};
  if (!open_.empty()) {
    range.stage = open_.back().stage;
    range.base_bytes = open_.back().base_bytes;
  }
  for (StageMemory& stage : stages_) {
    if (name.id() == stage.module_id) {
      range.stage = &stage;
      range.base_bytes = open_.empty() ? range.live_bytes : open_.back().live_bytes;
    }
  }
  open_.push_back(range);
}

void StageMemoryRecorder::Leave() { open_.pop_back(); }

std::unique_ptr<at::ObserverContext> StageMemoryRecorder::OnStart(const at::RecordFunction&) {
  if (recorder->depth_++ == 0) recorder->counter_.Mark();
  return nullptr;
}

void StageMemoryRecorder::OnEnd(const at::RecordFunction& call, at::ObserverContext*) {
  if (--recorder->depth_ == 0) recorder->EndOperator(call.name());
}

void StageMemoryRecorder::EndOperator(const char* name) {
  if (open_.empty()) return;
  const OpenRange& range = open_.back();
  const int64_t live = counter_.live_bytes();
  request_bytes_ = std::max(request_bytes_, live - open_.front().live_bytes);
  if (range.stage == nullptr) return;
  StageMemory& stage = *range.stage;
  if (live - range.base_bytes > stage.activation_bytes) {
    stage.activation_bytes = live - range.base_bytes;
    stage.peak_range = *range.id;
  }
  if (const int64_t scratch = counter_.peak_bytes() - live; scratch > 0) {
    int64_t& most = stage.scratch_bytes[name];
    most = std::max(most, scratch);
  }
}

}  // namespace dsocr::model
