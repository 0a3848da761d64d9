// One object of a JSON document that came from outside, read with errors that name the key ("encoder_dims.sam.width").
#ifndef DSOCR_MODEL_JSON_SECTION_H_
#define DSOCR_MODEL_JSON_SECTION_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace dsocr::model {

// Says in errors what the document is and what to do about it.
struct JsonSource {
  std::string what;  // "config '/m/config.json'"
  std::string todo;
};

// Borrows the JSON value and the source, which must outlive it. An absent key and a null are the same. A getter leaves
// `out` as it was where the key is absent, and throws InputError (invalid_argument) for a wrong type or a value out of
// [lo, hi].
class JsonSection {
 public:
  JsonSection(const nlohmann::json& json, const JsonSource& source, std::string path = "");

  bool Has(const char* key) const { return json_.contains(key) && !json_[key].is_null(); }
  JsonSection Child(const char* key) const { return JsonSection(json_[key], source_, Path(key)); }
  // Throws where the key is absent.
  void Require(const char* key) const;

  void Int(const char* key, int64_t lo, int64_t hi, int64_t& out) const;
  void Int(const char* key, int lo, int hi, int& out) const;
  void Bool(const char* key, bool& out) const;
  void PositiveNumber(const char* key, double& out) const;
  void String(const char* key, std::optional<std::string>& out) const;
  // REQUIRES: Has(key).
  std::vector<int64_t> Ints(const char* key, size_t max_count, int64_t lo, int64_t hi) const;
  // Refuses the key with any other value: what would silently be computed wrongly.
  void Only(const char* key, const nlohmann::json& supported) const;

  // Throws InputError saying that 'PATH.KEY' `why`.
  [[noreturn]] void Fail(const std::string& key, const std::string& why) const;

 private:
  std::string Path(const std::string& key) const { return path_.empty() ? key : path_ + "." + key; }
  int64_t CheckedInt(const nlohmann::json& value, const char* key, int64_t lo, int64_t hi) const;

  const nlohmann::json& json_;
  const JsonSource& source_;
  std::string path_;
};

// Throws InputError where `text` is no JSON.
nlohmann::json ParseJson(std::string_view text, const JsonSource& source);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_JSON_SECTION_H_
