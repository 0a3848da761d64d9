// Any bytes as a table of measured operators: an error, or rows that read back as they are written.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "daemon/calibrate/operator_table.h"
#include "tests/fuzz/expect.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dsocr;
  const auto table = calibrate::ReadOperatorTable(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!table.ok()) {
    Expect(table.status().code() == absl::StatusCode::kInvalidArgument, "what is no table is a bad file");
    Expect(table.status().message().find('\n') == absl::string_view::npos, "an error is one line");
    return 0;
  }
  Expect(!table->rows.empty(), "a table has rows");
  for (const analytic::Sample& row : table->rows) {
    const auto read = calibrate::ParseRowText(calibrate::RowText(row));
    Expect(read.ok() && read->size == row.size && read->precision == row.precision && read->time_ns == row.time_ns,
           "what was written reads back");
  }
  return 0;
}
