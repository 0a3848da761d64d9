#include "daemon/calibrate/split.h"

#include <algorithm>
#include <map>
#include <random>
#include <utility>

#include "absl/status/status.h"
#include "base/status.h"
#include "daemon/calibrate/operator_table.h"
#include "daemon/calibrate/strict_json.h"
#include "fmt/format.h"

namespace dsocr::calibrate {
namespace {

constexpr std::string_view kSplitKind = "dsocr table split";
constexpr int64_t kSplitVersion = 1;

// Uniform in [0, bound). The standard defines what mt19937_64 gives, but not what its distributions make of that.
uint64_t Below(uint64_t bound, std::mt19937_64* random) {
  const uint64_t last_full = UINT64_MAX - UINT64_MAX % bound;
  uint64_t value = (*random)();
  while (value >= last_full) {
    value = (*random)();
  }
  return value % bound;
}

}  // namespace

Split DrawRows(const std::vector<analytic::Sample>& rows, size_t points, int64_t seed) {
  std::vector<std::pair<std::string, size_t>> order;  // by text, whatever the order of the file
  order.reserve(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    order.emplace_back(RowText(rows[i]), i);
  }
  std::sort(order.begin(), order.end());
  std::mt19937_64 random(static_cast<uint64_t>(seed));
  for (size_t i = 0; i < points; ++i) {
    std::swap(order[i], order[i + Below(order.size() - i, &random)]);
  }
  order.resize(points);
  std::sort(order.begin(), order.end());
  Split split{.seed = seed, .drawn = {}};
  for (const auto& [text, row] : order) {
    split.drawn.push_back(rows[row]);
  }
  return split;
}

std::string WriteSplit(const Split& split) {
  std::string text = fmt::format("{{\n\"kind\": \"{}\",\n\"version\": {},\n\"seed\": {},\n\"rows\": [", kSplitKind,
                                 kSplitVersion, split.seed);
  std::string_view separator = "\n";
  for (const analytic::Sample& row : split.drawn) {
    text += fmt::format("{}\"{}\"", separator, RowText(row));
    separator = ",\n";
  }
  return text + "\n]\n}\n";
}

absl::StatusOr<Split> ReadSplit(std::string_view text) {
  DSOCR_ASSIGN_OR_RETURN(const nlohmann::json root, ParseJsonObject(text, kMaxTableBytes));
  Split split;
  ObjectReader reader(root, "");
  DSOCR_RETURN_IF_ERROR(
      reader.Header(kSplitKind, kSplitVersion, "a split, which 'dsocrctl calibrate fit --split' writes"));
  reader.Integer("seed", 0, INT64_MAX, &split.seed);
  const nlohmann::json* rows = reader.Array("rows", kMaxTableRows);
  DSOCR_RETURN_IF_ERROR(reader.Finish());
  for (const nlohmann::json& entry : *rows) {
    const absl::StatusOr<analytic::Sample> row = entry.is_string() ? ParseRowText(entry.get_ref<const std::string&>())
                                                                   : absl::InvalidArgumentError("not a text");
    if (!row.ok()) {
      return absl::InvalidArgumentError(
          fmt::format("rows[{}]: {}", split.drawn.size(), std::string(row.status().message())));
    }
    split.drawn.push_back(*row);
  }
  return split;
}

absl::StatusOr<std::vector<analytic::Sample>> RowsWithout(const Split& split,
                                                          const std::vector<analytic::Sample>& rows) {
  std::map<std::string, int> drawn;
  for (const analytic::Sample& row : split.drawn) {
    ++drawn[RowText(row)];
  }
  std::vector<analytic::Sample> rest;
  for (const analytic::Sample& row : rows) {
    const auto found = drawn.find(RowText(row));
    if (found == drawn.end()) {
      rest.push_back(row);
    } else if (--found->second == 0) {
      drawn.erase(found);
    }
  }
  if (!drawn.empty()) {
    return absl::InvalidArgumentError(
        fmt::format("its row '{}' is not in the table; is it of another one?", drawn.begin()->first));
  }
  return rest;
}

}  // namespace dsocr::calibrate
