#include "daemon/calibrate/strict_json.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "fmt/format.h"
#include "proto/document_text.h"

namespace dsocr::calibrate {

absl::StatusOr<nlohmann::json> ParseJsonObject(std::string_view text, size_t max_bytes) {
  if (text.size() > max_bytes) {
    return absl::InvalidArgumentError(fmt::format("{} bytes, expected at most {}", text.size(), max_bytes));
  }
  constexpr int kDeepest = 8;
  const auto limit_nesting = [](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    return depth <= kDeepest;
  };
  nlohmann::json root = nlohmann::json::parse(text, limit_nesting, /*allow_exceptions=*/false);
  if (!root.is_object()) {
    return absl::InvalidArgumentError("no JSON object, or one that was cut off");
  }
  return root;
}

ObjectReader::ObjectReader(const nlohmann::json& value, std::string path) : value_(value), path_(std::move(path)) {
  if (!value_.is_object()) {
    status_ = absl::InvalidArgumentError(fmt::format("{}: not an object", path_));
  }
}

void ObjectReader::Refuse(const char* key, std::string_view why) {
  if (status_.ok()) {
    status_ = absl::InvalidArgumentError(fmt::format("{}{}: {}", path_, key, why));
  }
}

const nlohmann::json* ObjectReader::Find(const char* key, bool (nlohmann::json::*is_of_type)() const noexcept,
                                         std::string_view expected) {
  if (!value_.is_object()) {
    return nullptr;
  }
  const auto found = value_.find(key);
  if (found == value_.end()) {
    Refuse(key, "missing");
    return nullptr;
  }
  read_.push_back(key);
  if (!((*found).*is_of_type)()) {
    Refuse(key, fmt::format("not {}", expected));
    return nullptr;
  }
  return &*found;
}

absl::Status ObjectReader::Header(std::string_view kind, int64_t version, std::string_view what) {
  std::string written_kind;
  Text("kind", &written_kind);
  if (written_kind != kind) {
    return absl::InvalidArgumentError(fmt::format("kind: not {}", what));
  }
  Integer("version", version, version, &version);
  return absl::OkStatus();
}

void ObjectReader::Text(const char* key, std::string* out) {
  if (const nlohmann::json* text = Find(key, &nlohmann::json::is_string, "a text")) {
    *out = text->get<std::string>();
  }
}

void ObjectReader::Integer(const char* key, int64_t smallest, int64_t largest, int64_t* out) {
  const nlohmann::json* number = Find(key, &nlohmann::json::is_number_integer, "a whole number");
  if (number == nullptr) {
    return;
  }
  const bool is_too_large = number->is_number_unsigned() && number->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX);
  *out = is_too_large ? INT64_MAX : number->get<int64_t>();
  if (is_too_large || *out < smallest || *out > largest) {
    Refuse(key, fmt::format("{}: not from {} to {}", number->dump(), smallest, largest));
  }
}

void ObjectReader::Number(const char* key, double smallest, double largest, double* out) {
  const nlohmann::json* number = Find(key, &nlohmann::json::is_number, "a number");
  if (number == nullptr) {
    return;
  }
  *out = number->get<double>();
  if (!(*out >= smallest && *out <= largest)) {
    Refuse(key, fmt::format("{}: not from {} to {}", number->dump(), smallest, largest));
  }
}

void ObjectReader::Bool(const char* key, bool* out) {
  if (const nlohmann::json* value = Find(key, &nlohmann::json::is_boolean, "true or false")) {
    *out = value->get<bool>();
  }
}

void ObjectReader::Numbers(const char* key, std::vector<double>* out) {
  const nlohmann::json* list = Find(key, &nlohmann::json::is_array, "a list");
  if (list == nullptr) {
    return;
  }
  out->reserve(list->size());
  for (const nlohmann::json& number : *list) {
    if (!number.is_number() || !std::isfinite(number.get<double>())) {
      Refuse(key, fmt::format("entry {}: not a finite number", out->size()));
      return;
    }
    out->push_back(number.get<double>());
  }
}

const nlohmann::json* ObjectReader::Object(const char* key) {
  return Find(key, &nlohmann::json::is_object, "an object");
}

const nlohmann::json* ObjectReader::Array(const char* key, size_t max_count) {
  const nlohmann::json* list = Find(key, &nlohmann::json::is_array, "a list");
  if (list != nullptr && list->size() > max_count) {
    Refuse(key, fmt::format("{} entries, expected at most {}", list->size(), max_count));
    return nullptr;
  }
  return list;
}

absl::Status ObjectReader::Finish() const {
  if (status_.ok() && read_.size() != value_.size()) {
    for (const auto& [key, value] : value_.items()) {
      if (std::find(read_.begin(), read_.end(), key) == read_.end()) {
        return absl::InvalidArgumentError(fmt::format("{}{}: unknown key", path_, document::PathStep(key)));
      }
    }
  }
  return status_;
}

}  // namespace dsocr::calibrate
