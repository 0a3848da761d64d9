#include "model/json_section.h"

#include <cmath>
#include <limits>

#include "model/error.h"

namespace dsocr::model {

using Json = nlohmann::json;

JsonSection::JsonSection(const Json& json, const JsonSource& source, std::string path)
    : json_(json), source_(source), path_(std::move(path)) {
  if (json_.is_object()) return;
  throw InputError(ErrorCode::kInvalidArgument, source_.what,
                   (path_.empty() ? "the document" : "'" + path_ + "'") + " is not an object", source_.todo);
}

void JsonSection::Require(const char* key) const {
  if (!Has(key)) Fail(key, "is missing");
}

void JsonSection::Int(const char* key, int64_t lo, int64_t hi, int64_t& out) const {
  if (Has(key)) out = CheckedInt(json_[key], key, lo, hi);
}

void JsonSection::Int(const char* key, int lo, int hi, int& out) const {
  if (Has(key)) out = static_cast<int>(CheckedInt(json_[key], key, lo, hi));
}

void JsonSection::Bool(const char* key, bool& out) const {
  if (!Has(key)) return;
  if (!json_[key].is_boolean()) Fail(key, "is not true or false");
  out = json_[key].get<bool>();
}

void JsonSection::PositiveNumber(const char* key, double& out) const {
  if (!Has(key)) return;
  if (!json_[key].is_number()) Fail(key, "is not a number");
  out = json_[key].get<double>();
  if (!std::isfinite(out) || out <= 0) Fail(key, "is not a positive number");
}

void JsonSection::String(const char* key, std::optional<std::string>& out) const {
  if (!Has(key)) return;
  if (!json_[key].is_string()) Fail(key, "is not a string");
  out = json_[key].get<std::string>();
}

std::vector<int64_t> JsonSection::Ints(const char* key, size_t max_count, int64_t lo, int64_t hi) const {
  if (!json_[key].is_array() || json_[key].size() > max_count) {
    Fail(key, "is not a list of at most " + std::to_string(max_count) + " integers");
  }
  std::vector<int64_t> values;
  for (const Json& value : json_[key]) values.push_back(CheckedInt(value, key, lo, hi));
  return values;
}

void JsonSection::Only(const char* key, const Json& supported) const {
  if (Has(key) && json_[key] != supported) {
    Fail(key, "is " + json_[key].dump() + ", and only " + supported.dump() + " is implemented");
  }
}

void JsonSection::Fail(const std::string& key, const std::string& why) const {
  throw InputError(ErrorCode::kInvalidArgument, source_.what, "'" + Path(key) + "' " + why, source_.todo);
}

int64_t JsonSection::CheckedInt(const Json& value, const char* key, int64_t lo, int64_t hi) const {
  constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
  if (!value.is_number_integer() || (value.is_number_unsigned() && value.get<uint64_t>() > kMax)) {
    Fail(key, "is not an integer");
  }
  const int64_t number = value.get<int64_t>();
  if (number < lo || number > hi) {
    Fail(key, "is " + std::to_string(number) + ", not in [" + std::to_string(lo) + ", " + std::to_string(hi) + "]");
  }
  return number;
}

Json ParseJson(std::string_view text, const JsonSource& source) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) throw InputError(ErrorCode::kInvalidArgument, source.what, "not valid JSON", source.todo);
  return json;
}

}  // namespace dsocr::model
