#include "cupti/agent/ledger.h"

#include <algorithm>

namespace dsocr::agent {

uint16_t StreamLedger::Row(uint16_t device, uint32_t context, uint32_t stream) noexcept {
  const auto find = [&]() -> uint16_t {
    const uint16_t count = count_.load(std::memory_order_acquire);
    for (uint16_t row = 1; row < count; ++row) {
      const RowState& state = rows_[row];
      if (state.stream == stream && state.context == context && state.device == device) {
        return row;
      }
    }
    return kNoStream;
  };
  if (const uint16_t row = find()) {
    return row;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (const uint16_t row = find()) {
    return row;
  }
  const uint16_t row = count_.load(std::memory_order_relaxed);
  if (row == kMaxRows) {
    return kNoStream;
  }
  rows_[row].device = device;
  rows_[row].context = context;
  rows_[row].stream = stream;
  count_.store(row + 1, std::memory_order_release);
  return row;
}

void StreamLedger::Forget() noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  count_.store(1);
  lost_.store(0);
  for (RowState& row : rows_) {
    for (std::atomic<int64_t> RowState::*figure :
         {&RowState::launched, &RowState::pending, &RowState::recorded, &RowState::dropped, &RowState::invalid}) {
      (row.*figure).store(0);
    }
  }
}

int64_t StreamLedger::Sum(std::atomic<int64_t> RowState::*figure) const noexcept {
  int64_t sum = 0;
  for (uint16_t row = 0; row < count_.load(std::memory_order_acquire); ++row) {
    sum += (rows_[row].*figure).load(std::memory_order_relaxed);
  }
  return sum;
}

int64_t StreamLedger::recorded() const noexcept { return Sum(&RowState::recorded); }
int64_t StreamLedger::invalid() const noexcept { return Sum(&RowState::invalid); }
int64_t StreamLedger::pending() const noexcept { return Sum(&RowState::pending); }

void StreamLedger::Write(Recorder& recorder, bool launches_are_counted) noexcept {
  int64_t lost = lost_.load(std::memory_order_relaxed);
  for (uint16_t row = count_.load(std::memory_order_acquire); row-- > 0;) {
    const RowState& state = rows_[row];
    record::Record record{};
    record.kind = record::Kind::kLedger;
    record.device = state.device;
    record::Ledger& ledger = record.ledger;
    ledger.context = state.context;
    ledger.stream = row == kNoStream ? record::kAllStreams : state.stream;
    const auto recorded = state.recorded.load(std::memory_order_relaxed);
    auto dropped = state.dropped.load(std::memory_order_relaxed);
    const auto invalid = state.invalid.load(std::memory_order_relaxed);
    auto launched = state.launched.load(std::memory_order_relaxed);
    auto pending = std::max<int64_t>(0, state.pending.load(std::memory_order_relaxed));
    const int64_t lost_here = row == kNoStream ? lost : std::min(lost, pending);
    lost -= lost_here;
    dropped += lost_here;
    // What is lost beyond all that is pending was launched unseen.
    launched += std::max<int64_t>(0, lost_here - pending);
    pending -= std::min(pending, lost_here);
    if (!launches_are_counted) {
      launched = pending = 0;
    }
    if (recorded == 0 && dropped == 0 && invalid == 0 && launched == 0) {
      continue;
    }
    ledger.launched = static_cast<uint64_t>(launched);
    ledger.recorded = static_cast<uint64_t>(recorded);
    ledger.dropped = static_cast<uint64_t>(dropped);
    ledger.invalid = static_cast<uint64_t>(invalid);
    ledger.pending = static_cast<uint64_t>(pending);
    recorder.Write(record);
  }
}

}  // namespace dsocr::agent
