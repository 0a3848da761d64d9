// The byte-level alphabet of GPT-2: every byte has a printable character, so that a vocabulary can be written as text.
#ifndef DSOCR_MODEL_TEXT_BYTE_LEVEL_H_
#define DSOCR_MODEL_TEXT_BYTE_LEVEL_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace dsocr::model {

// The UTF-8 character that stands for `byte`: itself where it is a visible character of Latin-1, else U+0100 and up in
// order. Example: 0x20 -> "Ġ" (U+0120).
std::string ByteToCharacter(uint8_t byte);

// The bytes that a vocabulary entry stands for. An entry with a character outside the alphabet (an added token such as
// "<｜end▁of▁sentence｜>") stands for its own UTF-8 bytes. Source: tokenizers, ByteLevel::decode_chain.
std::string TokenToBytes(std::string_view token);

// `text` with every ill-formed sequence (its maximal subpart, Unicode 15, section 3.9) replaced by U+FFFD; well-formed
// text is unchanged.
std::string ToValidUtf8(std::string_view text);

// Bytes of the well-formed UTF-8 character at the start of `text`; 0 where there is none.
size_t CharacterLength(std::string_view text);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_TEXT_BYTE_LEVEL_H_
