// Byte-level BPE over a Hugging Face tokenizer.json.
//
//   text ─► added tokens cut out ─► pre-tokenisers in the file's order ─► bytes ─► merges, lowest rank first ─► ids
//
// Covers what the published model needs: model BPE without dropout, prefixes, byte fallback or unknown token;
// pre-tokenisers Split (Isolated) and ByteLevel, alone or in a Sequence; no normaliser. A file that asks for anything
// else is refused, never half understood.
#ifndef DSOCR_MODEL_TEXT_TOKENIZER_H_
#define DSOCR_MODEL_TEXT_TOKENIZER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "model/text/pattern.h"

namespace dsocr::model {

// Immutable after Load: safe from any thread.
class Tokenizer {
 public:
  // `path` is a tokenizer.json or a directory that holds one. Throws InputError: not_found, permission_denied,
  // invalid_argument (malformed, or a feature from outside the list above).
  static Tokenizer Load(const std::filesystem::path& path);

  // Added tokens are recognised, none is added. Ill-formed UTF-8 is read as U+FFFD. About n log n in the longest word.
  std::vector<int64_t> Encode(std::string_view text) const;

  // Well-formed UTF-8: bytes that do not make a character (a token may end inside one) become U+FFFD. Ids that the
  // tokenizer does not define are left out; with `skip_special`, so are added tokens flagged special. No spaces are
  // cleaned up.
  std::string Decode(std::span<const int64_t> ids, bool skip_special) const;

 private:
  friend class TokenizerReader;

  // Added tokens that are cut out in one pass, leftmost first and the longest of those.
  struct AddedTokens {
    std::unordered_map<std::string, int64_t> ids;
    std::array<std::vector<size_t>, 256> lengths;  // by first byte, longest first
  };

  struct ByteLevel {
    bool adds_prefix_space = false;
  };
  using PreTokenizer = std::variant<Pattern, ByteLevel>;

  struct Merge {
    int32_t rank;
    int32_t id;  // of the joined token
  };

  using Piece = std::variant<std::string_view, int64_t>;  // text still to encode, or an added token's id

  static uint64_t PairKey(int32_t left, int32_t right);
  static std::vector<Piece> CutAdded(const std::vector<Piece>& pieces, const AddedTokens& added);
  void EncodeText(std::string_view text, std::vector<int64_t>& ids) const;
  void EncodeWord(std::string_view word, std::vector<int64_t>& ids) const;

  std::array<AddedTokens, 2> added_;  // not normalised, then normalised: two passes, as in tokenizers
  std::vector<PreTokenizer> pre_tokenizers_;
  std::array<int32_t, 256> byte_ids_;           // -1: the vocabulary lacks this byte, and it is dropped
  std::unordered_map<uint64_t, Merge> merges_;  // by PairKey
  std::vector<std::string> bytes_of_id_;        // empty: no such id
  std::vector<bool> is_special_;
};

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_TEXT_TOKENIZER_H_
