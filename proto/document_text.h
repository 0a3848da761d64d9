// What reading and writing documents share: which messages are bare values, and how text is quoted.
#ifndef DSOCR_PROTO_DOCUMENT_TEXT_H_
#define DSOCR_PROTO_DOCUMENT_TEXT_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "google/protobuf/descriptor.h"

namespace dsocr::document {

bool IsShape(const google::protobuf::Descriptor* type);       // a bare array of integers
bool IsParamValue(const google::protobuf::Descriptor* type);  // a bare scalar

// A JSON string literal that is a YAML double-quoted scalar too. Bytes that are not UTF-8 become U+FFFD.
std::string Quote(std::string_view text);

// The same of what an error message has room for: a long text is cut, and ends in "…".
std::string QuoteBriefly(std::string_view text);

// A key as a path shows it: bare, or quoted where a one-line message would break.
std::string PathStep(std::string_view key);

// At most so many bytes of `text`, whole characters, "…" behind what was cut.
std::string Shorten(std::string_view text);

// The length of the well-formed UTF-8 sequence at the start of `text` (1 to 4), or 0. Table 3-7 of the Unicode
// standard: no overlong forms, no surrogates, nothing above U+10FFFF.
size_t Utf8SequenceLength(std::string_view text);

// Offset of the first byte that is not UTF-8.
std::optional<size_t> FindMalformedUtf8(std::string_view text);

// "line 3 column 7" of a byte, both from 1, columns in bytes.
std::string Place(std::string_view text, size_t offset);

}  // namespace dsocr::document

#endif  // DSOCR_PROTO_DOCUMENT_TEXT_H_
