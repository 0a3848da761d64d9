#include "model/text/byte_level.h"

#include <array>
#include <cstddef>

namespace dsocr::model {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

constexpr bool IsVisibleLatin1(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
}

struct Alphabet {
  std::array<int, 256> character_of_byte;    // code point, below 0x180
  std::array<int, 0x180> byte_of_character;  // -1: none
};

constexpr Alphabet MakeAlphabet() {
  Alphabet alphabet = {};
  alphabet.byte_of_character.fill(-1);
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const int character = IsVisibleLatin1(byte) ? byte : next++;
    alphabet.character_of_byte[byte] = character;
    alphabet.byte_of_character[character] = byte;
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = MakeAlphabet();

// The shape of a UTF-8 sequence by its first byte: how many follow, and what the first of them may be (Unicode 15,
// table 3-7).
struct LeadByte {
  int following = -1;  // -1: not a lead byte
  uint8_t low = 0x80;
  uint8_t high = 0xbf;
};

LeadByte ClassifyLead(uint8_t byte) {
  if (byte < 0x80) return {0};
  if (byte >= 0xc2 && byte <= 0xdf) return {1};
  if (byte == 0xe0) return {2, 0xa0, 0xbf};
  if (byte == 0xed) return {2, 0x80, 0x9f};
  if (byte >= 0xe1 && byte <= 0xef) return {2};
  if (byte == 0xf0) return {3, 0x90, 0xbf};
  if (byte >= 0xf1 && byte <= 0xf3) return {3};
  if (byte == 0xf4) return {3, 0x80, 0x8f};
  return {};
}

struct Sequence {
  size_t length = 1;  // of the character, or of the maximal subpart that is replaced
  bool is_well_formed = false;
};

// REQUIRES: text is not empty.
Sequence ReadSequence(std::string_view text) {
  const LeadByte lead = ClassifyLead(static_cast<uint8_t>(text[0]));
  if (lead.following < 0) {
    return {};
  }
  size_t length = 1;
  for (int i = 0; i < lead.following; ++i, ++length) {
    if (length >= text.size()) {
      return {length, false};
    }
    const auto byte = static_cast<uint8_t>(text[length]);
    if (byte < (i == 0 ? lead.low : 0x80) || byte > (i == 0 ? lead.high : 0xbf)) {
      return {length, false};
    }
  }
  return {length, true};
}

}  // namespace

std::string ByteToCharacter(uint8_t byte) {
  const int character = kAlphabet.character_of_byte[byte];
  if (character < 0x80) {
    return {static_cast<char>(character)};
  }
  return {static_cast<char>(0xc0 | character >> 6), static_cast<char>(0x80 | (character & 0x3f))};
}

std::string TokenToBytes(std::string_view token) {
  std::string bytes;
  for (size_t at = 0; at < token.size();) {
    const auto first = static_cast<uint8_t>(token[at]);
    int character = first;
    if (first >= 0x80) {
      if (CharacterLength(token.substr(at)) != 2) {
        return std::string(token);
      }
      character = (first & 0x1f) << 6 | (static_cast<uint8_t>(token[at + 1]) & 0x3f);
    }
    if (character >= static_cast<int>(kAlphabet.byte_of_character.size()) ||
        kAlphabet.byte_of_character[character] < 0) {
      return std::string(token);
    }
    bytes.push_back(static_cast<char>(kAlphabet.byte_of_character[character]));
    at += first >= 0x80 ? 2 : 1;
  }
  return bytes;
}

std::string ToValidUtf8(std::string_view text) {
  std::string valid;
  valid.reserve(text.size());
  while (!text.empty()) {
    const Sequence sequence = ReadSequence(text);
    valid += sequence.is_well_formed ? text.substr(0, sequence.length) : kReplacement;
    text.remove_prefix(sequence.length);
  }
  return valid;
}

size_t CharacterLength(std::string_view text) {
  if (text.empty()) {
    return 0;
  }
  const Sequence sequence = ReadSequence(text);
  return sequence.is_well_formed ? sequence.length : 0;
}

}  // namespace dsocr::model
