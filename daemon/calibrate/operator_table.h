// A table of measured operators: CSV, or the same in gzip. docs/calibration.md has its columns.
//
// The text is anybody's: errors are INVALID_ARGUMENT, one line, and name line, column and value. Pure functions: safe
// from any thread.
#ifndef DSOCR_DAEMON_CALIBRATE_OPERATOR_TABLE_H_
#define DSOCR_DAEMON_CALIBRATE_OPERATOR_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "analytic/law/law.h"

namespace dsocr::calibrate {

// Of a table, packed and unpacked. A row has about 60 bytes.
inline constexpr size_t kMaxTableBytes = size_t{64} << 20;
inline constexpr size_t kMaxTableRows = 250'000;

// What the column `op` of a table says; the index of an OperatorSize.
enum class Op { kGemm, kAttention, kMoe };
inline constexpr int kOpCount = 3;
std::string_view OpName(Op op);  // "gemm", "attention", "moe"
absl::StatusOr<Op> ParseOp(std::string_view name);
Op OpOf(const analytic::OperatorSize& size);

struct OperatorTable {
  std::string device;                        // as every row says; may be empty
  std::vector<analytic::Sample> rows;        // in the order of the file
  std::vector<std::string> ignored_columns;  // that no operator has
};

// REQUIRES: nothing of `bytes`.
absl::StatusOr<OperatorTable> ReadOperatorTable(std::string_view bytes);

inline constexpr int kDtypeCount = 5;
absl::StatusOr<analytic::Precision> ParsePrecision(std::string_view name);  // "bf16", …

// A row as one line: "gemm,bf16,1024,4096,512,12345.5", op, dtype, the sizes in the order of docs/calibration.md, ns.
std::string RowText(const analytic::Sample& row);
absl::StatusOr<analytic::Sample> ParseRowText(std::string_view text);

// SHA-256 of the sorted lines of the rows, whatever their order: 64 hex digits.
std::string RowsDigest(const std::vector<analytic::Sample>& rows);

}  // namespace dsocr::calibrate

#endif  // DSOCR_DAEMON_CALIBRATE_OPERATOR_TABLE_H_
