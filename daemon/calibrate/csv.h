// CSV as RFC 4180 has it: cells between commas, in double quotes where they hold a comma, a quote (doubled) or a line
// break; lines end in LF or CRLF, the last one may end without. A byte order mark at the start is passed over.
#ifndef DSOCR_DAEMON_CALIBRATE_CSV_H_
#define DSOCR_DAEMON_CALIBRATE_CSV_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace dsocr::calibrate {

// Reads record after record. `text` must outlive it.
class CsvReader {
 public:
  explicit CsvReader(std::string_view text);

  // False at the end. INVALID_ARGUMENT, with line and column, for quotes that RFC 4180 does not know.
  absl::StatusOr<bool> Next();

  const std::vector<std::string>& cells() const { return cells_; }
  size_t line() const { return line_; }  // from 1, where the record begins

 private:
  absl::Status ReadQuoted(std::string* cell);
  absl::Status ReadPlain(std::string* cell);
  absl::Status Malformed(std::string_view why) const;

  std::string_view text_;
  size_t at_ = 0;
  size_t line_ = 0;       // of the record
  size_t next_line_ = 1;  // of text_[at_]
  size_t line_begin_ = 0;
  std::vector<std::string> cells_;
};

}  // namespace dsocr::calibrate

#endif  // DSOCR_DAEMON_CALIBRATE_CSV_H_
