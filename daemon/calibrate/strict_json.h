// Documents of ours that come back from disk: every key must be there and be of its type, and no other may be.
#ifndef DSOCR_DAEMON_CALIBRATE_STRICT_JSON_H_
#define DSOCR_DAEMON_CALIBRATE_STRICT_JSON_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace dsocr::calibrate {

// The document of at most `max_bytes`. INVALID_ARGUMENT for what is no JSON object, or nests more than 8 levels.
absl::StatusOr<nlohmann::json> ParseJsonObject(std::string_view text, size_t max_bytes);

// Reads an object key by key. The first problem stays, and is what Finish returns: "table.rows: -1: not from 1 to …".
// What it gives out borrows the value.
class ObjectReader {
 public:
  ObjectReader(const nlohmann::json& value, std::string path);

  // The keys `kind` and `version`. INVALID_ARGUMENT where it is no document of that kind: not `what`. Another version
  // is a problem like any other.
  absl::Status Header(std::string_view kind, int64_t version, std::string_view what);
  void Text(const char* key, std::string* out);
  void Integer(const char* key, int64_t smallest, int64_t largest, int64_t* out);
  void Number(const char* key, double smallest, double largest, double* out);
  void Bool(const char* key, bool* out);
  void Numbers(const char* key, std::vector<double>* out);  // finite ones
  // Null where the key is missing or of another type, and in an optional key that is not there.
  const nlohmann::json* Object(const char* key);
  const nlohmann::json* Array(const char* key, size_t max_count);
  bool Has(const char* key) const { return value_.contains(key); }  // an optional key

  void Refuse(const char* key, std::string_view why);
  absl::Status Finish() const;  // unread keys are problems

 private:
  const nlohmann::json* Find(const char* key, bool (nlohmann::json::*is_of_type)() const noexcept,
                             std::string_view expected);

  const nlohmann::json& value_;
  const std::string path_;  // "table." or empty
  std::vector<std::string_view> read_;
  absl::Status status_;
};

}  // namespace dsocr::calibrate

#endif  // DSOCR_DAEMON_CALIBRATE_STRICT_JSON_H_
