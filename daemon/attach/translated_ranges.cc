// Ranges of the translation: which are open, and what a call of the job opens and closes.
#include <algorithm>

#include "daemon/attach/translator_state.h"

namespace dsocr::attach {

using record::Kind;
using record::Owner;

size_t Translator::State::CommonWith(const JobThread& thread, const std::vector<NodeIndex>& chain) const {
  size_t common = 0;
  while (common < thread.open.size() && common < chain.size() && thread.open[common].node == chain[common]) {
    ++common;
  }
  return common;
}

void Translator::State::CloseFrom(uint32_t number, size_t depth, int64_t time_ns) {
  std::vector<OpenRange>& open = threads[number].open;
  while (open.size() > depth) {
    writer.Range(Kind::kRangePop, number, time_ns, open.back().owner);
    open.pop_back();
  }
}

// REQUIRES: what is open begins `chain`.
void Translator::State::OpenTo(uint32_t number, const std::vector<NodeIndex>& chain, int64_t time_ns) {
  JobThread& thread = threads[number];
  while (thread.open.size() < chain.size()) {
    const NodeIndex index = chain[thread.open.size()];
    record::PathId parent = 0;
    if (!thread.open.empty()) {
      parent = record::OwnerPath(thread.open.back().owner);
      if (!IsIn(thread.open.back().children, index)) {
        thread.open.back().children.push_back(index);
      }
    }
    const Owner owner = writer.NewOwner(writer.PathBelow(parent, names.RangeName(index)));
    if (index == names.prefill()) {
      memory.AddPiece(thread.pass, owner);
    }
    root_ranges += index == names.root() ? 1 : 0;
    writer.Range(Kind::kRangePush, number, time_ns, owner, thread.open.empty() ? thread.inverse_q16 : 0);
    thread.open.push_back({.node = index, .owner = owner});
  }
}

const std::vector<NodeIndex>& Translator::State::ChainOf(const JobThread& thread, const JobCall& call) const {
  const MappedModule& target = names.target(call.target);
  return target.is_root && !thread.phase ? root_chain
                                         : target.chain[static_cast<size_t>(thread.phase.value_or(Phase::kDecode))];
}

// The innermost call that stands for a node; null: there is none.
const JobCall* Translator::State::Innermost(const JobThread& thread) const {
  const auto call = std::find_if(thread.calls.rbegin(), thread.calls.rend(),
                                 [](const JobCall& c) { return c.target != kNoTarget && !c.is_pending; });
  return call == thread.calls.rend() ? nullptr : &*call;
}

// A stage that is no module of the job is entered for one of its modules: whether that goes on with the stage's last
// call. The projector is called once a pass; the vision, until a module of it comes again.
bool Translator::State::Continues(JobThread& thread, const std::vector<NodeIndex>& chain) const {
  const bool is_in_pass = IsIn(thread.open[0].children, chain[1]);
  if (chain[1] == names.projector()) {
    return is_in_pass;
  }
  if (chain[1] != names.vision()) {
    return false;
  }
  const bool continues = is_in_pass && !thread.in_vision.empty() && !IsIn(thread.in_vision, chain[2]);
  if (!continues) {
    thread.in_vision.clear();
  }
  thread.in_vision.push_back(chain[2]);
  return continues;
}

// Back to the innermost call: what was left open for a sibling to come is closed, what it interrupted goes on.
void Translator::State::Settle(uint32_t number) {
  JobThread& thread = threads[number];
  const JobCall* call = Innermost(thread);
  if (call == nullptr) {
    CloseFrom(number, 0, thread.settled_ns);
    return;
  }
  const std::vector<NodeIndex>& chain = ChainOf(thread, *call);
  const size_t common = CommonWith(thread, chain);
  CloseFrom(number, common, thread.settled_ns);
  if (common == chain.size()) {
    return;
  }
  OpenTo(number, chain, thread.settled_ns);
  for (size_t i = common; i < chain.size(); ++i) {
    ++names.node(chain[i]).resumed;
  }
  RememberCalls(thread);
}

// A call begins. REQUIRES: it is pending, and calls around it are not.
void Translator::State::Enter(uint32_t number, JobCall& call) {
  JobThread& thread = threads[number];
  const std::vector<NodeIndex>& chain = ChainOf(thread, call);
  // How much of what is open belongs to calls around this one. The rest was opened for modules that are over.
  size_t held = 0;
  for (const JobCall* outer = thread.calls.data(); outer != &call; ++outer) {
    if (outer->target != kNoTarget) {
      const std::vector<NodeIndex>& around = ChainOf(thread, *outer);
      held = std::max(held, CommonWith(thread, around));
      call.is_shared = call.is_shared || around.back() == chain.back();
    }
  }
  size_t kept = CommonWith(thread, chain);
  // A module that is over, or had this one inside already, is entered anew.
  for (size_t i = std::max<size_t>(held, 1); i < kept; ++i) {
    if (i + 1 == chain.size() || IsIn(thread.open[i].children, chain[i + 1])) {
      kept = i;
    }
  }
  if (kept <= held) {
    Settle(number);
    kept = CommonWith(thread, chain);
  }
  const int64_t left_ns = kept > held ? thread.settled_ns : call.push_ns;
  if (names.target(call.target).is_root && !call.is_shared) {
    kept = 0;
  }
  CloseFrom(number, kept, left_ns);
  if (kept == 1 && chain.size() > 2 && Continues(thread, chain)) {
    ++names.node(chain[1]).resumed;
  }
  OpenTo(number, chain, call.push_ns);
  call.is_pending = false;
  Note(thread, call);
}

// The innermost call of the job is over.
void Translator::State::Leave(uint32_t number, int64_t time_ns) {
  JobThread& thread = threads[number];
  if (thread.calls.back().is_pending && !ComesBeforeVision(thread.calls.back())) {
    SetPhase(number, Phase::kDecode);
  }
  const JobCall call = thread.calls.back();
  if (call.target != kNoTarget && !call.is_pending) {
    Settle(number);
    if (!call.is_shared) {
      const MappedModule& target = names.target(call.target);
      CloseFrom(number, target.is_root ? 0 : ChainOf(thread, call).size() - 1, time_ns);
    }
    thread.settled_ns = time_ns;
  }
  thread.calls.pop_back();
  if (thread.phase && !IsInPass(thread)) {
    thread.is_outlying ? EndOutlying(thread) : EndPass(thread);
  }
}

}  // namespace dsocr::attach
