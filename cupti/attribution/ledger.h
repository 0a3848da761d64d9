// The ledger of each stream: what the agent says became of its operations, held against what arrived here.
//
//   launched = recorded + dropped + invalid + pending
//
// `recorded` is what attribution really summed. The agent's last word of a stream is R recorded; V valid and I invalid
// operations arrived:
//   V + I < R   the difference was lost on the way: dropped. I of the recorded are invalid
//   V + I > R   the agent's word is older than its records (a job was killed): what came after it was pending, or was
//               launched later
// A row that does not close by itself is closed by `pending`, else by `launched`. A stream of which the agent said
// nothing has a row of what was seen.
#ifndef DSOCR_CUPTI_ATTRIBUTION_LEDGER_H_
#define DSOCR_CUPTI_ATTRIBUTION_LEDGER_H_

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <vector>

#include "cupti/attribution/attribution.h"
#include "cupti/record/record.h"

namespace dsocr::attribution {

struct StreamKey {
  uint16_t device = 0;
  uint32_t context = 0;
  uint32_t stream = record::kAllStreams;

  auto operator<=>(const StreamKey&) const = default;
};

class Ledger {
 public:
  // The agent's word, which replaces an earlier one. False: refused.
  bool Set(uint16_t device, const record::Ledger& said);
  // An operation arrived.
  void Count(const StreamKey& key, bool is_valid) {
    Row& row = RowOf(key);
    ++(is_valid ? row.valid : row.invalid);
  }

  // Any stream of which the agent counted launches.
  bool has_launches() const;
  // By device, context, stream.
  std::vector<StreamLedger> Rows() const;

 private:
  static constexpr size_t kMaxRows = 1024;  // streams beyond are one row, of no known stream
  static constexpr size_t kRecent = 64;
  static constexpr uint64_t kMaxCount = uint64_t{1} << 60;

  struct Row {
    record::Ledger said{};
    int64_t valid = 0;
    int64_t invalid = 0;
  };
  struct Recent {
    StreamKey key;
    Row* row = nullptr;
  };

  Row& RowOf(const StreamKey& key) {
    Recent& recent = recent_[(key.stream ^ key.context ^ key.device) % kRecent];
    if (recent.row == nullptr || recent.key != key) {
      recent = {key, &FindRow(key)};
    }
    return *recent.row;
  }
  Row& FindRow(const StreamKey& key);

  std::map<StreamKey, Row> rows_;
  std::array<Recent, kRecent> recent_;
};

}  // namespace dsocr::attribution

#endif  // DSOCR_CUPTI_ATTRIBUTION_LEDGER_H_
