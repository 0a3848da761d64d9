#include "daemon/attach/request_counter.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

namespace dsocr::attach {

using record::Kind;
using record::Record;

void RequestCounter::Consume(std::span<const Record> records, int64_t now_ns) {
  for (const Record& record : records) {
    switch (record.kind) {
      case Kind::kNameDefinition:
        dictionary_.DefineName(record.name_definition);
        break;
      case Kind::kPathDefinition:
        DefinePath(record.path_definition);
        break;
      case Kind::kModule:
        TellModule(record.module);
        break;
      case Kind::kRangePush:
        Push(record, now_ns);
        break;
      case Kind::kRangePop:
        if (record.thread < threads_.size() && threads_[record.thread].pass == record.range.owner) {
          EndPass(threads_[record.thread], now_ns);
        }
        break;
      case Kind::kCallShape:
        CallShaped(record);
        break;
      case Kind::kThread:
        if (record.thread < threads_.size()) {
          EndRequest(threads_[record.thread]);
          threads_[record.thread] = Thread();
        }
        break;
      default:
        break;
    }
  }
}

std::optional<int64_t> RequestCounter::Ended(int64_t now_ns) const {
  if (!model_) {
    return std::nullopt;
  }
  int64_t ended = ended_;
  for (const Thread& thread : threads_) {
    ended += thread.has_request && thread.pass == 0 && now_ns - thread.left_ns >= kIdleNs ? 1 : 0;
  }
  return ended;
}

// --- Definitions
// -------------------------------------------------------------------------------------------------------------------

void RequestCounter::DefinePath(const record::PathDefinition& definition) {
  if (dictionary_.DefinePath(definition)) {
    paths_.push_back({.parent = definition.parent, .module = definition.is_module == 1 ? definition.name : 0});
    Classify(paths_.back());
  }
}

void RequestCounter::Classify(Path& path) const {
  if (!model_ || path.module == 0) {
    return;
  }
  const std::optional<std::string_view> module_path = model_->PathOf(dictionary_.Text(path.module));
  const auto any_node = [](const std::string&) { return true; };
  if (const std::string target = module_path ? model_->map.Find(*module_path, any_node) : ""; !target.empty()) {
    path.kind = KindOf(target);
  }
}

void RequestCounter::TellModule(const record::Module& module) {
  std::optional<attribution::JobModule> told = dictionary_.JobModuleOf(module);
  if (told && !model_ && modules_.size() < kMaxModules) {
    modules_.push_back(*std::move(told));
    has_new_modules_ = true;
  }
}

// All modules of a root are told before it is called.
void RequestCounter::LookForModel() {
  has_new_modules_ = false;
  if (looks_ == kMaxLooks) {
    return;
  }
  ++looks_;
  absl::StatusOr<RecognisedModel> model = Recognise(modules_, map_ ? &*map_ : nullptr);
  if (!model.ok()) {
    return;
  }
  model_ = *std::move(model);
  modules_ = {};
  for (Path& path : paths_) {
    Classify(path);
  }
}

// --- Passes and requests
// -----------------------------------------------------------------------------------------------------------

void RequestCounter::Push(const Record& record, int64_t now_ns) {
  if (has_new_modules_) {
    LookForModel();
  }
  const record::PathId path = record::OwnerPath(record.range.owner);
  if (!model_ || record.thread >= record::kMaxThreads || path == 0 || !dictionary_.HasPath(path)) {
    return;
  }
  threads_.resize(std::max<size_t>(threads_.size(), record.thread + 1));
  Thread& thread = threads_[record.thread];
  if (paths_[path].parent == 0 && thread.pass != 0) {
    EndPass(thread, now_ns);  // its pop was lost
  }
  const std::optional<CallKind>& kind = paths_[path].kind;
  if (!kind) {
    return;
  }
  if (thread.pass == 0 && kind->is_model) {
    thread.pass = record.range.owner;
    thread.is_shape_told = false;
    thread.phase.reset();
  } else if (thread.pass != 0 && !kind->has_phase && !thread.phase) {
    SetPhase(thread, Phase::kPrefill);  // the vision runs in no other
  }
}

void RequestCounter::CallShaped(const Record& record) {
  const record::PathId path = record::OwnerPath(record.call_shape.owner);
  if (record.thread >= threads_.size() || !dictionary_.HasPath(path) || !paths_[path].kind) {
    return;
  }
  Thread& thread = threads_[record.thread];
  thread.is_shape_told = thread.is_shape_told || record.call_shape.owner == thread.pass;
  if (thread.pass == 0 || thread.phase || !paths_[path].kind->has_phase) {
    return;
  }
  if (const std::optional<PassTokens> told = TokensOf(record.call_shape, *paths_[path].kind)) {
    SetPhase(thread, told->phase());
  }
}

// A pass that was under way when the recording began is none that could be seen from its beginning: nobody told the
// shape that it was called with.
void RequestCounter::SetPhase(Thread& thread, Phase phase) {
  thread.phase = phase;
  if (phase == Phase::kPrefill) {
    EndRequest(thread);
    thread.has_request = thread.is_shape_told || !thread.is_first;
  }
}

void RequestCounter::EndPass(Thread& thread, int64_t now_ns) {
  thread.pass = 0;
  thread.is_first = false;
  thread.left_ns = now_ns;
}

void RequestCounter::EndRequest(Thread& thread) {
  ended_ += thread.has_request ? 1 : 0;
  thread.has_request = false;
}

}  // namespace dsocr::attach
