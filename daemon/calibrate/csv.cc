#include "daemon/calibrate/csv.h"

#include "base/status.h"
#include "fmt/format.h"

namespace dsocr::calibrate {

CsvReader::CsvReader(std::string_view text) : text_(text) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text_.starts_with(kByteOrderMark)) {
    text_.remove_prefix(kByteOrderMark.size());
  }
}

absl::Status CsvReader::Malformed(std::string_view why) const {
  return absl::InvalidArgumentError(fmt::format("line {} column {}: {}", next_line_, at_ - line_begin_ + 1, why));
}

absl::Status CsvReader::ReadQuoted(std::string* cell) {
  const absl::Status never_closed = Malformed("a quote that is never closed");
  for (++at_; at_ < text_.size(); ++at_) {
    if (text_[at_] == '"') {
      if (++at_ == text_.size() || text_[at_] != '"') {
        return absl::OkStatus();
      }
    } else if (text_[at_] == '\n') {
      ++next_line_;
      line_begin_ = at_ + 1;
    }
    cell->push_back(text_[at_]);
  }
  return never_closed;
}

absl::Status CsvReader::ReadPlain(std::string* cell) {
  const size_t end = std::min(text_.find_first_of(",\r\n\"", at_), text_.size());
  cell->assign(text_.substr(at_, end - at_));
  at_ = end;
  return at_ < text_.size() && text_[at_] == '"' ? Malformed("a quote within a cell that does not begin with one")
                                                 : absl::OkStatus();
}

absl::StatusOr<bool> CsvReader::Next() {
  if (at_ == text_.size()) {
    return false;
  }
  line_ = next_line_;
  for (size_t count = 0;; ++count) {
    if (count == cells_.size()) {
      cells_.emplace_back();
    }
    std::string& cell = cells_[count];
    cell.clear();
    DSOCR_RETURN_IF_ERROR(at_ < text_.size() && text_[at_] == '"' ? ReadQuoted(&cell) : ReadPlain(&cell));
    if (at_ < text_.size() && text_[at_] == ',') {
      ++at_;
      continue;
    }
    cells_.resize(count + 1);
    break;
  }
  if (text_.substr(at_).starts_with("\r\n")) {
    ++at_;
  }
  if (at_ < text_.size()) {
    if (text_[at_] != '\n') {
      return Malformed("expected a comma or the end of the line");
    }
    line_begin_ = ++at_;
    ++next_line_;
  }
  return true;
}

}  // namespace dsocr::calibrate
