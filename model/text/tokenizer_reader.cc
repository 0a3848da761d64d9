// tokenizer.json -> Tokenizer. The file is hostile until every field has been looked at.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>

#include "model/error.h"
#include "model/text/byte_level.h"
#include "model/text/tokenizer.h"

namespace dsocr::model {
namespace {

using Json = nlohmann::json;

// The published file has 10 MB and 129,280 ids.
constexpr uintmax_t kMaxFileBytes = 256 << 20;
constexpr int64_t kMaxId = (1 << 24) - 1;

// GPT-2's pattern, which ByteLevel applies with use_regex.
constexpr std::string_view kByteLevelRegex =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

std::string ReadFile(const std::filesystem::path& path, const std::string& label) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) {
    throw InputError(ErrorCode::kNotFound, label, "no such file", "give a directory with tokenizer.json");
  }
  if (status.type() != std::filesystem::file_type::regular || std::filesystem::file_size(path, error) > kMaxFileBytes) {
    throw InputError(ErrorCode::kInvalidArgument, label, "not a regular file, or too large",
                     "give a directory with tokenizer.json");
  }
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
  if (file == nullptr) {
    throw InputError(ErrorCode::kPermissionDenied, label, "cannot be opened", "give a readable file");
  }
  std::string text(std::filesystem::file_size(path, error), '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  return text;
}

}  // namespace

// Reads one file; used once.
class TokenizerReader {
 public:
  explicit TokenizerReader(std::string label) : label_(std::move(label)) {}

  Tokenizer Read(const Json& file) {
    RequireAbsent(file, "normalizer", IsEmptySequence);
    Require(file.at("decoder").at("type") == "ByteLevel", "its decoder is not ByteLevel");
    ReadPreTokenizer(file.at("pre_tokenizer"));
    ReadModel(file.at("model"));
    for (const Json& added : file.value("added_tokens", Json::array())) {
      ReadAddedToken(added);
    }
    for (Tokenizer::AddedTokens& added : tokenizer_.added_) {
      for (std::vector<size_t>& lengths : added.lengths) {
        std::sort(lengths.begin(), lengths.end(), std::greater<>());
        lengths.erase(std::unique(lengths.begin(), lengths.end()), lengths.end());
      }
    }
    return std::move(tokenizer_);
  }

 private:
  [[noreturn]] void Refuse(const std::string& why) const {
    throw InputError(ErrorCode::kInvalidArgument, label_, why, "give the tokenizer.json of a byte-level BPE");
  }

  void Require(bool holds, const std::string& why) const {
    if (!holds) {
      Refuse(why);
    }
  }

  static bool IsEmptySequence(const Json& value) {
    return value.is_object() && value.value("type", "") == "Sequence" && value.value("normalizers", Json()).empty();
  }
  static bool IsFalse(const Json& value) { return value == false; }
  static bool IsEmptyString(const Json& value) { return value == ""; }

  // A feature that is not supported must be missing, null or off.
  void RequireAbsent(const Json& object, const char* key, bool (*is_off)(const Json&)) const {
    const auto value = object.find(key);
    Require(value == object.end() || value->is_null() || is_off(*value), "it uses '" + std::string(key) + "'");
  }

  void ReadPreTokenizer(const Json& node) {
    const std::string type = node.at("type");
    if (type == "Sequence") {
      for (const Json& child : node.at("pretokenizers")) {
        Require(child.at("type") != "Sequence", "its pre-tokenizers are nested");
        ReadPreTokenizer(child);
      }
    } else if (type == "Split") {
      Require(node.at("behavior") == "Isolated" && node.value("invert", false) == false,
              "a Split pre-tokenizer is not Isolated");
      tokenizer_.pre_tokenizers_.emplace_back(Pattern(node.at("pattern").at("Regex").get<std::string>()));
    } else {
      Require(type == "ByteLevel", "it has a pre-tokenizer '" + type + "'");
      tokenizer_.pre_tokenizers_.emplace_back(Tokenizer::ByteLevel{node.value("add_prefix_space", true)});
      if (node.value("use_regex", true)) {
        tokenizer_.pre_tokenizers_.emplace_back(Pattern(kByteLevelRegex));
      }
    }
  }

  int64_t ReadId(const Json& value) const {
    if (!value.is_number_integer() || value < 0 || value > kMaxId) {
      Refuse("id " + value.dump() + " is not an integer from 0 to " + std::to_string(kMaxId));
    }
    return value;
  }

  void Define(int64_t id, const std::string& token, bool is_special) {
    if (id >= static_cast<int64_t>(tokenizer_.bytes_of_id_.size())) {
      tokenizer_.bytes_of_id_.resize(id + 1);
      tokenizer_.is_special_.resize(id + 1);
    }
    tokenizer_.bytes_of_id_[id] = TokenToBytes(token);
    tokenizer_.is_special_[id] = is_special;
  }

  void ReadModel(const Json& model) {
    Require(model.value("type", "BPE") == "BPE", "its model is not BPE");
    for (const char* key : {"dropout", "unk_token"}) {
      RequireAbsent(model, key, [](const Json&) { return false; });
    }
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      RequireAbsent(model, key, IsEmptyString);
    }
    for (const char* key : {"byte_fallback", "ignore_merges"}) {
      RequireAbsent(model, key, IsFalse);
    }
    const Json::object_t& vocabulary = model.at("vocab").get_ref<const Json::object_t&>();
    std::unordered_map<std::string_view, int32_t> ids;
    ids.reserve(vocabulary.size());
    for (const auto& [token, value] : vocabulary) {
      const int64_t id = ReadId(value);
      Define(id, token, false);
      ids.emplace(token, static_cast<int32_t>(id));
    }
    for (int byte = 0; byte < 256; ++byte) {
      const auto found = ids.find(ByteToCharacter(static_cast<uint8_t>(byte)));
      tokenizer_.byte_ids_[byte] = found == ids.end() ? -1 : found->second;
    }
    const Json::array_t& merges = model.at("merges").get_ref<const Json::array_t&>();
    tokenizer_.merges_.reserve(merges.size());
    for (size_t rank = 0; rank < merges.size(); ++rank) {
      ReadMerge(merges[rank], static_cast<int32_t>(rank), ids);
    }
  }

  // ["a", "b"] or, in older files, "a b".
  void ReadMerge(const Json& merge, int32_t rank, const std::unordered_map<std::string_view, int32_t>& ids) {
    std::string left, right;
    if (merge.is_string()) {
      const std::string& both = merge.get_ref<const std::string&>();
      const size_t space = both.find(' ');
      if (space == std::string::npos) {
        Refuse("merge " + std::to_string(rank) + " is not a pair");
      }
      left = both.substr(0, space);
      right = both.substr(space + 1);
    } else {
      if (!merge.is_array() || merge.size() != 2) {
        Refuse("merge " + std::to_string(rank) + " is not a pair");
      }
      left = merge[0];
      right = merge[1];
    }
    const auto left_id = ids.find(left);
    const auto right_id = ids.find(right);
    const auto joined_id = ids.find(left + right);
    if (left_id == ids.end() || right_id == ids.end() || joined_id == ids.end()) {
      Refuse("merge " + std::to_string(rank) + " names a token that is not in its vocabulary");
    }
    tokenizer_.merges_[Tokenizer::PairKey(left_id->second, right_id->second)] = {rank, joined_id->second};
  }

  void ReadAddedToken(const Json& added) {
    const std::string content = added.at("content");
    Require(!content.empty(), "an added token is empty");
    for (const char* key : {"single_word", "lstrip", "rstrip"}) {
      RequireAbsent(added, key, IsFalse);
    }
    const int64_t id = ReadId(added.at("id"));
    Define(id, content, added.value("special", false));
    Tokenizer::AddedTokens& group = tokenizer_.added_[added.value("normalized", false) ? 1 : 0];
    group.ids[content] = id;
    group.lengths[static_cast<uint8_t>(content[0])].push_back(content.size());
  }

  std::string label_;
  Tokenizer tokenizer_;
};

Tokenizer Tokenizer::Load(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::path file = std::filesystem::is_directory(path, error) ? path / "tokenizer.json" : path;
  const std::string label = "tokenizer '" + file.string() + "'";
  const std::string text = ReadFile(file, label);
  try {
    return TokenizerReader(label).Read(Json::parse(text));
  } catch (const Json::exception& malformed) {
    const std::string_view message = malformed.what();
    const size_t tag_end = message.find("] ");  // of "[json.exception.type_error.302] "
    throw InputError(ErrorCode::kInvalidArgument, label,
                     std::string(tag_end == std::string_view::npos ? message : message.substr(tag_end + 2)),
                     "give the tokenizer.json of a byte-level BPE");
  }
}

}  // namespace dsocr::model
