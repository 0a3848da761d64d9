#include "daemon/calibrate/operator_table.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "absl/status/status.h"
#include "analytic/law/work.h"
#include "base/status.h"
#include "base/suggest.h"
#include "daemon/calibrate/csv.h"
#include "daemon/calibrate/gzip.h"
#include "daemon/catalog/sha256.h"
#include "fmt/format.h"
#include "proto/document_text.h"

namespace dsocr::calibrate {
namespace {

using analytic::AttentionSize;
using analytic::GemmSize;
using analytic::MoeSize;
using analytic::OperatorSize;
using analytic::Precision;
using analytic::Sample;

constexpr std::array<std::string_view, kOpCount> kOpNames = {"gemm", "attention", "moe"};
constexpr std::array<Precision, kDtypeCount> kPrecisions = {Precision::kFp32, Precision::kBf16, Precision::kTf32,
                                                            Precision::kFp8w, Precision::kInt4w};
constexpr int64_t kLargestSize = int64_t{1} << 31;  // the product of three of them still is a double with all its bits
constexpr double kLongestUs = 1e9;                  // a quarter of an hour
constexpr double kNsPerUs = 1000;
constexpr size_t kMaxColumns = 256;

// The columns of sizes, in the order in which rows are written. One list a kind of operator; `causal` and `routing` are
// no counts, and come last.
template <typename Size>
struct SizeColumn {
  std::string_view name;
  int64_t Size::*member;
};
constexpr SizeColumn<GemmSize> kGemmColumns[] = {{"m", &GemmSize::m}, {"n", &GemmSize::n}, {"k", &GemmSize::k}};
constexpr SizeColumn<AttentionSize> kAttentionColumns[] = {
    {"batch", &AttentionSize::batch}, {"seq_q", &AttentionSize::seq_q},       {"seq_kv", &AttentionSize::seq_kv},
    {"heads", &AttentionSize::heads}, {"kv_heads", &AttentionSize::kv_heads}, {"head_dim", &AttentionSize::head_dim}};
constexpr SizeColumn<MoeSize> kMoeColumns[] = {{"tokens", &MoeSize::tokens},
                                               {"hidden", &MoeSize::hidden},
                                               {"intermediate", &MoeSize::intermediate},
                                               {"topk", &MoeSize::topk},
                                               {"experts", &MoeSize::experts}};
constexpr std::string_view kCommonColumns[] = {"op", "device", "dtype", "time_us"};

std::vector<std::string> ColumnsOf(Op op) {
  std::vector<std::string> names;
  const auto add = [&](const auto& columns) {
    for (const auto& column : columns) {
      names.emplace_back(column.name);
    }
  };
  switch (op) {
    case Op::kGemm:
      add(kGemmColumns);
      break;
    case Op::kAttention:
      add(kAttentionColumns);
      names.emplace_back("causal");
      break;
    case Op::kMoe:
      add(kMoeColumns);
      names.emplace_back("routing");
      break;
  }
  return names;
}

absl::Status ParseSize(std::string_view text, int64_t* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size() && *value > 0 && *value <= kLargestSize
             ? absl::OkStatus()
             : absl::InvalidArgumentError(fmt::format("not a whole number from 1 to {}", kLargestSize));
}

absl::Status ParseTime(std::string_view text, double largest, double* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size() && *value > 0 && *value <= largest
             ? absl::OkStatus()
             : absl::InvalidArgumentError(fmt::format("not a number above 0 and up to {}", largest));
}

// What sizes say of each other.
absl::Status CheckSize(const OperatorSize& size) {
  if (const auto* attention = std::get_if<AttentionSize>(&size);
      attention != nullptr && attention->kv_heads > attention->heads) {
    return absl::InvalidArgumentError(
        fmt::format("kv_heads: {}: more than heads, {}", attention->kv_heads, attention->heads));
  }
  if (const auto* moe = std::get_if<MoeSize>(&size); moe != nullptr && moe->topk > moe->experts) {
    return absl::InvalidArgumentError(fmt::format("topk: {}: more than experts, {}", moe->topk, moe->experts));
  }
  return absl::OkStatus();
}

absl::Status Wrong(std::string_view column, std::string_view value, std::string_view why) {
  return absl::InvalidArgumentError(fmt::format("{}: {}: {}", column, document::QuoteBriefly(value), why));
}

// Fills sizes from cells by name: `cell(name)` gives std::string_view.
template <typename Size, typename Columns, typename CellOf>
absl::Status ReadSizes(const Columns& columns, const CellOf& cell, Size* size) {
  for (const SizeColumn<Size>& column : columns) {
    if (const absl::Status status = ParseSize(cell(column.name), &(size->*column.member)); !status.ok()) {
      return Wrong(column.name, cell(column.name), std::string(status.message()));
    }
  }
  return absl::OkStatus();
}

template <typename CellOf>
absl::StatusOr<OperatorSize> ReadSize(Op op, const CellOf& cell) {
  if (op == Op::kGemm) {
    GemmSize size;
    DSOCR_RETURN_IF_ERROR(ReadSizes(kGemmColumns, cell, &size));
    return size;
  }
  if (op == Op::kAttention) {
    AttentionSize size;
    DSOCR_RETURN_IF_ERROR(ReadSizes(kAttentionColumns, cell, &size));
    const std::string_view causal = cell("causal");
    if (causal != "0" && causal != "1") {
      return Wrong("causal", causal, "not one of 0, 1");
    }
    size.is_causal = causal == "1";
    return size;
  }
  MoeSize size;
  DSOCR_RETURN_IF_ERROR(ReadSizes(kMoeColumns, cell, &size));
  size.routing = cell("routing");
  if (!analytic::IsRouting(size.routing)) {
    return Wrong("routing", size.routing, "not 'balanced' or 'power_law_A' with a number A");
  }
  return size;
}

// One table under way: the header, then row after row.
class TableReader {
 public:
  explicit TableReader(std::string_view text) : csv_(text) {}

  absl::StatusOr<OperatorTable> Read() {
    DSOCR_ASSIGN_OR_RETURN(const bool has_header, csv_.Next());
    if (!has_header) {
      return absl::InvalidArgumentError("it is empty; expected a line with the names of the columns");
    }
    DSOCR_RETURN_IF_ERROR(ReadHeader());
    while (true) {
      DSOCR_ASSIGN_OR_RETURN(const bool is_there, csv_.Next());
      if (!is_there) {
        break;
      }
      if (const absl::Status status = ReadRow(); !status.ok()) {
        return absl::InvalidArgumentError(fmt::format(
            "line {}: {}", csv_.line(), std::string_view(status.message().data(), status.message().size())));
      }
    }
    if (table_.rows.empty()) {
      return absl::InvalidArgumentError("it has no row below its header");
    }
    return std::move(table_);
  }

 private:
  absl::Status ReadHeader() {
    const std::vector<std::string>& names = csv_.cells();
    if (names.size() > kMaxColumns) {
      return absl::InvalidArgumentError(
          fmt::format("line 1: {} columns, expected at most {}", names.size(), kMaxColumns));
    }
    for (size_t i = 0; i < names.size(); ++i) {
      if (!columns_.emplace(names[i], i).second) {
        return absl::InvalidArgumentError(
            fmt::format("line 1 column {}: {}: a second column of this name", i + 1, document::QuoteBriefly(names[i])));
      }
    }
    std::vector<std::string> known(std::begin(kCommonColumns), std::end(kCommonColumns));
    for (const std::string& name : known) {
      if (!columns_.contains(name)) {
        return absl::InvalidArgumentError(fmt::format("line 1: no column '{}'", name));
      }
    }
    for (int op = 0; op < kOpCount; ++op) {
      const std::vector<std::string> own = ColumnsOf(Op{op});
      known.insert(known.end(), own.begin(), own.end());
    }
    for (const std::string& name : names) {
      if (std::find(known.begin(), known.end(), name) == known.end()) {
        table_.ignored_columns.push_back(document::Shorten(name));
      }
    }
    column_count_ = names.size();
    return absl::OkStatus();
  }

  std::string_view Cell(std::string_view name) const { return csv_.cells()[columns_.find(name)->second]; }

  // The columns of this kind of operator are there, and those of the others empty.
  absl::Status CheckColumns(Op op) {
    std::optional<std::vector<std::string>>& foreign = foreign_columns_[static_cast<size_t>(op)];
    if (!foreign) {
      foreign.emplace();
      for (int other = 0; other < kOpCount; ++other) {
        for (std::string& name : ColumnsOf(Op{other})) {
          if (Op{other} == op && !columns_.contains(name)) {
            return absl::InvalidArgumentError(fmt::format("op: '{}': no column '{}' in line 1", OpName(op), name));
          }
          if (Op{other} != op && columns_.contains(name)) {
            foreign->push_back(std::move(name));
          }
        }
      }
    }
    for (const std::string& name : *foreign) {
      if (!Cell(name).empty()) {
        return Wrong(name, Cell(name), fmt::format("it does not apply to {}; leave it empty", OpName(op)));
      }
    }
    return absl::OkStatus();
  }

  absl::Status ReadRow() {
    if (csv_.cells().size() != column_count_) {
      return absl::InvalidArgumentError(
          fmt::format("{} cells, expected {} as in line 1", csv_.cells().size(), column_count_));
    }
    if (table_.rows.size() == kMaxTableRows) {
      return absl::InvalidArgumentError(fmt::format("more than {} rows; fit a part of them", kMaxTableRows));
    }
    DSOCR_RETURN_IF_ERROR(ReadDevice());
    const absl::StatusOr<Op> op = ParseOp(Cell("op"));
    if (!op.ok()) {
      return Wrong("op", Cell("op"), std::string(op.status().message()));
    }
    DSOCR_RETURN_IF_ERROR(CheckColumns(*op));
    Sample row;
    const absl::StatusOr<Precision> precision = ParsePrecision(Cell("dtype"));
    if (!precision.ok()) {
      return Wrong("dtype", Cell("dtype"), std::string(precision.status().message()));
    }
    row.precision = *precision;
    DSOCR_ASSIGN_OR_RETURN(row.size, ReadSize(*op, [this](std::string_view name) { return Cell(name); }));
    DSOCR_RETURN_IF_ERROR(CheckSize(row.size));
    double time_us = 0;
    if (const absl::Status status = ParseTime(Cell("time_us"), kLongestUs, &time_us); !status.ok()) {
      return Wrong("time_us", Cell("time_us"), std::string(status.message()));
    }
    row.time_ns = time_us * kNsPerUs;
    table_.rows.push_back(std::move(row));
    return absl::OkStatus();
  }

  absl::Status ReadDevice() {
    if (table_.rows.empty()) {
      table_.device = Cell("device");
      return absl::OkStatus();
    }
    return Cell("device") == table_.device ? absl::OkStatus()
                                           : Wrong("device", Cell("device"),
                                                   fmt::format("the rows above are of {}; a table is of one device",
                                                               document::QuoteBriefly(table_.device)));
  }

  CsvReader csv_;
  std::map<std::string, size_t, std::less<>> columns_;
  std::array<std::optional<std::vector<std::string>>, kOpCount> foreign_columns_;  // by op, once it was met
  size_t column_count_ = 0;
  OperatorTable table_;
};

}  // namespace

std::string_view OpName(Op op) { return kOpNames[static_cast<size_t>(op)]; }

absl::StatusOr<Op> ParseOp(std::string_view name) {
  for (int op = 0; op < kOpCount; ++op) {
    if (OpName(Op{op}) == name) {
      return Op{op};
    }
  }
  return absl::InvalidArgumentError(
      fmt::format("not one of gemm, attention, moe{}", DidYouMean(name, {kOpNames.begin(), kOpNames.end()})));
}

Op OpOf(const OperatorSize& size) { return Op{static_cast<int>(size.index())}; }

absl::StatusOr<Precision> ParsePrecision(std::string_view name) {
  for (const Precision precision : kPrecisions) {
    if (analytic::PrecisionName(precision) == name) {
      return precision;
    }
  }
  return absl::InvalidArgumentError("not one of fp32, bf16, tf32, fp8w, int4w");
}

absl::StatusOr<OperatorTable> ReadOperatorTable(std::string_view bytes) {
  std::string unpacked;
  if (IsGzip(bytes)) {
    DSOCR_ASSIGN_OR_RETURN(unpacked, Gunzip(bytes, kMaxTableBytes));
    bytes = unpacked;
  }
  if (bytes.size() > kMaxTableBytes) {
    return absl::InvalidArgumentError(fmt::format("{} bytes, expected at most {}", bytes.size(), kMaxTableBytes));
  }
  if (const std::optional<size_t> at = document::FindMalformedUtf8(bytes)) {
    return absl::InvalidArgumentError(fmt::format("{}: not UTF-8; is it a CSV file?", document::Place(bytes, *at)));
  }
  return TableReader(bytes).Read();
}

std::string RowText(const Sample& row) {
  std::string text = fmt::format("{},{}", OpName(OpOf(row.size)), analytic::PrecisionName(row.precision));
  const auto add = [&](const auto& columns, const auto& size) {
    for (const auto& column : columns) {
      fmt::format_to(std::back_inserter(text), ",{}", size.*column.member);
    }
  };
  if (const auto* gemm = std::get_if<GemmSize>(&row.size)) {
    add(kGemmColumns, *gemm);
  } else if (const auto* attention = std::get_if<AttentionSize>(&row.size)) {
    add(kAttentionColumns, *attention);
    text += attention->is_causal ? ",1" : ",0";
  } else {
    const auto& moe = std::get<MoeSize>(row.size);
    add(kMoeColumns, moe);
    text += "," + moe.routing;
  }
  fmt::format_to(std::back_inserter(text), ",{}", row.time_ns);
  return text;
}

absl::StatusOr<Sample> ParseRowText(std::string_view text) {
  std::vector<std::string_view> cells;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    cells.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  DSOCR_ASSIGN_OR_RETURN(const Op op, ParseOp(cells[0]));
  const std::vector<std::string> columns = ColumnsOf(op);
  constexpr size_t kBefore = 2;  // op, dtype
  if (cells.size() != kBefore + columns.size() + 1) {
    return absl::InvalidArgumentError(fmt::format("{} cells, expected {}", cells.size(), kBefore + columns.size() + 1));
  }
  Sample row;
  DSOCR_ASSIGN_OR_RETURN(row.precision, ParsePrecision(cells[1]));
  const auto cell = [&](std::string_view name) {
    const auto found = std::find(columns.begin(), columns.end(), name);
    return cells[kBefore + static_cast<size_t>(found - columns.begin())];
  };
  DSOCR_ASSIGN_OR_RETURN(row.size, ReadSize(op, cell));
  DSOCR_RETURN_IF_ERROR(CheckSize(row.size));
  DSOCR_RETURN_IF_ERROR(ParseTime(cells.back(), kLongestUs * kNsPerUs, &row.time_ns));
  return row;
}

std::string RowsDigest(const std::vector<Sample>& rows) {
  std::vector<std::string> lines;
  lines.reserve(rows.size());
  for (const Sample& row : rows) {
    lines.push_back(RowText(row) + "\n");
  }
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (const std::string& line : lines) {
    text += line;
  }
  return catalog::Sha256Hex(text);
}

}  // namespace dsocr::calibrate
