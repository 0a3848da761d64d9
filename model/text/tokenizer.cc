#include "model/text/tokenizer.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <queue>
#include <tuple>
#include <utility>

#include "model/text/byte_level.h"

namespace dsocr::model {
namespace {

// A token of a word in the making; merged ones leave the list.
struct Symbol {
  int32_t id;
  int previous;  // -1: the first
  int next;      // -1: the last
  bool is_merged_away = false;
};

// A pair that may be merged. The lowest rank goes first, of equal ranks the leftmost.
struct Candidate {
  int32_t rank;
  int left;    // index of its left symbol
  int32_t id;  // of the joined token

  bool operator>(const Candidate& other) const { return std::tie(rank, left) > std::tie(other.rank, other.left); }
};

}  // namespace

uint64_t Tokenizer::PairKey(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

std::vector<Tokenizer::Piece> Tokenizer::CutAdded(const std::vector<Piece>& pieces, const AddedTokens& added) {
  std::vector<Piece> out;
  for (const Piece& piece : pieces) {
    const std::string_view* text = std::get_if<std::string_view>(&piece);
    if (text == nullptr) {
      out.push_back(piece);
      continue;
    }
    size_t start = 0;
    for (size_t at = 0; at < text->size();) {
      size_t matched = 0;
      for (const size_t length : added.lengths[static_cast<uint8_t>((*text)[at])]) {
        const auto found = added.ids.find(std::string(text->substr(at, length)));
        if (found == added.ids.end()) {
          continue;
        }
        if (at > start) {
          out.push_back(text->substr(start, at - start));
        }
        out.push_back(found->second);
        matched = found->first.size();
        break;
      }
      at += std::max<size_t>(matched, 1);
      start = matched > 0 ? at : start;
    }
    if (start < text->size()) {
      out.push_back(text->substr(start));
    }
  }
  return out;
}

std::vector<int64_t> Tokenizer::Encode(std::string_view text) const {
  const std::string valid = ToValidUtf8(text);
  std::vector<Piece> pieces = {std::string_view(valid)};
  for (const AddedTokens& added : added_) {
    pieces = CutAdded(pieces, added);
  }
  std::vector<int64_t> ids;
  for (const Piece& piece : pieces) {
    if (const int64_t* id = std::get_if<int64_t>(&piece)) {
      ids.push_back(*id);
    } else {
      EncodeText(std::get<std::string_view>(piece), ids);
    }
  }
  return ids;
}

void Tokenizer::EncodeText(std::string_view text, std::vector<int64_t>& ids) const {
  std::vector<std::string> words = {std::string(text)};
  for (const PreTokenizer& pre_tokenizer : pre_tokenizers_) {
    std::vector<std::string> split;
    for (std::string& word : words) {
      if (const Pattern* pattern = std::get_if<Pattern>(&pre_tokenizer)) {
        for (const std::string_view piece : pattern->Split(word)) {
          split.emplace_back(piece);
        }
      } else {
        const bool adds_space = std::get<ByteLevel>(pre_tokenizer).adds_prefix_space && !word.starts_with(' ');
        split.push_back(adds_space ? " " + word : std::move(word));
      }
    }
    words = std::move(split);
  }
  for (const std::string& word : words) {
    EncodeWord(word, ids);
  }
}

void Tokenizer::EncodeWord(std::string_view word, std::vector<int64_t>& ids) const {
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  for (const char byte : word) {
    const int32_t id = byte_ids_[static_cast<uint8_t>(byte)];
    if (id < 0) {
      continue;
    }
    const int index = static_cast<int>(symbols.size());
    if (index > 0) {
      symbols.back().next = index;
    }
    symbols.push_back({id, index - 1, -1});
  }

  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> candidates;
  const auto find_merge = [&](int left) -> std::optional<Candidate> {
    const int right = left < 0 ? -1 : symbols[left].next;
    if (right < 0) {
      return std::nullopt;
    }
    const auto merge = merges_.find(PairKey(symbols[left].id, symbols[right].id));
    if (merge == merges_.end()) {
      return std::nullopt;
    }
    return Candidate{merge->second.rank, left, merge->second.id};
  };
  const auto offer = [&](int left) {
    if (const std::optional<Candidate> candidate = find_merge(left)) {
      candidates.push(*candidate);
    }
  };
  for (int i = 0; i < static_cast<int>(symbols.size()); ++i) {
    offer(i);
  }
  while (!candidates.empty()) {
    const Candidate best = candidates.top();
    candidates.pop();
    Symbol& left = symbols[best.left];
    const std::optional<Candidate> current = left.is_merged_away ? std::nullopt : find_merge(best.left);
    if (!current || current->id != best.id) {
      continue;  // one of the two has been merged with another neighbour since
    }
    Symbol& right = symbols[left.next];
    right.is_merged_away = true;
    left.id = best.id;
    left.next = right.next;
    if (left.next >= 0) {
      symbols[left.next].previous = best.left;
    }
    offer(left.previous);
    offer(best.left);
  }
  for (const Symbol& symbol : symbols) {
    if (!symbol.is_merged_away) {
      ids.push_back(symbol.id);
    }
  }
}

std::string Tokenizer::Decode(std::span<const int64_t> ids, bool skip_special) const {
  std::string bytes;
  for (const int64_t id : ids) {
    if (id < 0 || id >= static_cast<int64_t>(bytes_of_id_.size()) || (skip_special && is_special_[id])) {
      continue;
    }
    bytes += bytes_of_id_[id];
  }
  return ToValidUtf8(bytes);
}

}  // namespace dsocr::model
