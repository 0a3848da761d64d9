// Writes records as an agent does: names and paths are defined, in order, before their first use; entries are unique.
//
// A number space that is full (a hostile job's) gives no new numbers: a name is 0 then, a path its parent. Not
// thread-safe.
#ifndef DSOCR_DAEMON_ATTACH_RECORD_WRITER_H_
#define DSOCR_DAEMON_ATTACH_RECORD_WRITER_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "cupti/record/record.h"

namespace dsocr::attach {

class RecordWriter {
 public:
  using Sink = std::function<void(const record::Record&)>;
  explicit RecordWriter(Sink sink) : sink_(std::move(sink)) {}

  void Write(const record::Record& record) { sink_(record); }

  // A new number for each call: the caller remembers.
  record::NameId DefineName(std::string_view text) {
    if (text.empty() || names_ + 1 == record::kMaxNames) {
      return 0;
    }
    record::Record record{};
    record.kind = record::Kind::kNameDefinition;
    record::NameDefinition& piece = record.name_definition;
    piece.name = ++names_;
    text = text.substr(0, record::kMaxNameBytes);
    piece.total_bytes = static_cast<uint16_t>(text.size());
    for (size_t offset = 0; offset < text.size(); offset += sizeof(piece.bytes)) {
      piece.offset = static_cast<uint16_t>(offset);
      std::fill(std::begin(piece.bytes), std::end(piece.bytes), '\0');
      text.copy(piece.bytes, sizeof(piece.bytes), offset);
      Write(record);
    }
    return names_;
  }

  record::PathId PathBelow(record::PathId parent, record::NameId name) {
    const auto [known, is_new] = paths_.try_emplace({parent, name}, static_cast<record::PathId>(paths_.size() + 1));
    if (!is_new) {
      return known->second;
    }
    if (name == 0 || known->second == record::kMaxPaths) {
      paths_.erase(known);
      return parent;
    }
    record::Record record{};
    record.kind = record::Kind::kPathDefinition;
    record.path_definition = {known->second, parent, name, 0};
    Write(record);
    return known->second;
  }

  record::Owner NewOwner(record::PathId path) { return record::MakeOwner(path, ++entries_); }

  void Range(record::Kind kind, uint32_t thread, int64_t time_ns, record::Owner owner, uint64_t inverse_q16 = 0) {
    record::Record record{};
    record.kind = kind;
    record.thread = thread;
    record.range = {time_ns, owner, inverse_q16};
    Write(record);
  }

 private:
  Sink sink_;
  record::NameId names_ = 0;
  uint64_t entries_ = 0;
  absl::flat_hash_map<std::pair<record::PathId, record::NameId>, record::PathId> paths_;
};

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_RECORD_WRITER_H_
