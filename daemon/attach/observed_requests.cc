// Passes of the model, the requests that they make up, and what calls tell of them.
#include <algorithm>
#include <map>
#include <utility>

#include "daemon/attach/translator_state.h"

namespace dsocr::attach {
namespace {

// A view beyond these is none that the model could be called with.
constexpr uint32_t kMaxViews = 1 << 16;
constexpr uint32_t kMaxSide = 1 << 13;

}  // namespace

void Translator::State::SetPhase(uint32_t number, Phase phase) {
  JobThread& thread = threads[number];
  thread.phase = phase;
  thread.pass = ++passes_begun;
  memory.BeginPass(thread.pass);
  if (phase == Phase::kPrefill) {
    EndRequest(thread);
    thread.request = ObservedRequest{.views = std::move(thread.views), .batch = thread.batch};
    thread.views.clear();
  } else if (!thread.request) {
    thread.request = ObservedRequest{.batch = thread.batch};
  }
  for (JobCall& call : thread.calls) {
    if (call.target == kNoTarget) {
      continue;
    }
    if (call.is_pending) {
      Enter(number, call);
    } else if (names.target(call.target).is_root) {
      CloseFrom(number, CommonWith(thread, ChainOf(thread, call)), thread.settled_ns);
      OpenTo(number, ChainOf(thread, call), call.push_ns);
    }
  }
  RememberCalls(thread);
}

// The phase of an outlying call is known: it is entered, as a part of its stage and no call of it.
void Translator::State::EnterOutlying(uint32_t number, Phase phase) {
  JobThread& thread = threads[number];
  const auto stage = [&thread] { return thread.open.size() > 1 ? thread.open[1].owner : 0; };
  const record::Owner before = stage();
  thread.phase = phase;
  thread.is_outlying = true;
  for (JobCall& call : thread.calls) {
    if (call.is_pending) {
      Enter(number, call);
    }
  }
  if (stage() != before) {
    ++names.node(thread.open[1].node).resumed;
  }
  RememberCalls(thread);
}

void Translator::State::EndOutlying(JobThread& thread) {
  thread.phase.reset();
  thread.is_outlying = false;
}

// Only a pass that is over is one of its request: what the end of the recording cuts is not.
void Translator::State::EndPass(JobThread& thread) {
  if (thread.phase == Phase::kDecode) {
    ++thread.request->steps;
  } else {
    thread.request->seq_len = thread.tokens;
    thread.request->batch = thread.batch;
  }
  thread.last_phase = *std::exchange(thread.phase, std::nullopt);
  thread.tokens = 0;
  thread.batch = 1;
}

void Translator::State::EndRequest(JobThread& thread) {
  if (!thread.request) {
    return;
  }
  ++requests_ended;
  std::map<ObservedRequest, int64_t>& requests = observation.requests;
  if (requests.size() < Observation::kMaxDistinct || requests.count(*thread.request) > 0) {
    ++requests[*thread.request];
  }
  thread.request.reset();
}

void Translator::State::CallShaped(uint32_t number, const record::CallShape& told) {
  if (number >= threads.size() || threads[number].calls.empty()) {
    return;
  }
  JobThread& thread = threads[number];
  const JobCall& call = thread.calls.back();
  if (call.owner != told.owner || call.target == kNoTarget || told.rank == 0 || told.rank > 4) {
    return;
  }
  const MappedModule& target = names.target(call.target);
  if (target.has_pixels && told.rank == 4) {
    const bool is_told = std::any_of(thread.calls.begin(), thread.calls.end() - 1, [this](const JobCall& outer) {
      return outer.target != kNoTarget && names.target(outer.target).has_pixels;
    });
    const uint32_t side = std::max(told.shape[2], told.shape[3]);
    std::vector<View>& views = thread.phase && thread.request ? thread.request->views : thread.views;
    if (!is_told && told.shape[0] >= 1 && told.shape[0] <= kMaxViews && side >= 1 && side <= kMaxSide &&
        views.size() < Observation::kMaxViews) {
      views.push_back({.batch = told.shape[0], .side = side});
    }
  }
  if (!target.has_phase || thread.tokens != 0) {
    return;
  }
  const std::optional<PassTokens> pass = TokensOf(told, target);
  if (!pass || thread.phase.value_or(pass->phase()) != pass->phase()) {
    return;
  }
  if (IsOutlying(thread)) {
    if (!thread.phase) {
      EnterOutlying(number, pass->phase());
    }
    return;
  }
  thread.batch = pass->batch;
  thread.tokens = pass->tokens;
  if (!thread.phase) {
    SetPhase(number, pass->phase());
  }
}

}  // namespace dsocr::attach
