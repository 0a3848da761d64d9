#include "cupti/attribution/ledger.h"

#include <algorithm>

namespace dsocr::attribution {

Ledger::Row& Ledger::FindRow(const StreamKey& key) {
  if (const auto known = rows_.find(key); known != rows_.end() || rows_.size() < kMaxRows) {
    return rows_[key];
  }
  return rows_[StreamKey{}];
}

bool Ledger::Set(uint16_t device, const record::Ledger& said) {
  for (const uint64_t count : {said.launched, said.recorded, said.dropped, said.invalid, said.pending}) {
    if (count > kMaxCount) {
      return false;
    }
  }
  const StreamKey key = {device, said.context, said.stream};
  if (rows_.size() >= kMaxRows && rows_.count(key) == 0) {
    return false;  // nobody can replace a word of many streams
  }
  rows_[key].said = said;
  return true;
}

bool Ledger::has_launches() const {
  return std::any_of(rows_.begin(), rows_.end(), [](const auto& row) { return row.second.said.launched > 0; });
}

std::vector<StreamLedger> Ledger::Rows() const {
  std::vector<StreamLedger> rows;
  for (const auto& [key, row] : rows_) {
    const auto said_recorded = static_cast<int64_t>(row.said.recorded);
    const int64_t arrived = row.valid + row.invalid;
    StreamLedger ledger;
    ledger.device = key.device;
    ledger.context = key.context;
    if (key.stream != record::kAllStreams) {
      ledger.stream = key.stream;
    }
    ledger.recorded = row.valid;
    ledger.invalid = static_cast<int64_t>(row.said.invalid) + row.invalid;
    ledger.dropped = static_cast<int64_t>(row.said.dropped) + std::max<int64_t>(0, said_recorded - arrived);
    ledger.pending =
        std::max<int64_t>(0, static_cast<int64_t>(row.said.pending) - std::max<int64_t>(0, arrived - said_recorded));
    const int64_t accounted = ledger.recorded + ledger.dropped + ledger.invalid + ledger.pending;
    ledger.launched = std::max(static_cast<int64_t>(row.said.launched), accounted);
    ledger.pending += ledger.launched - accounted;
    rows.push_back(ledger);
  }
  return rows;
}

}  // namespace dsocr::attribution
