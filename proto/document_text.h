// What reading and writing documents share: which messages are bare values, and how text is quoted.
#ifndef DSOCR_PROTO_DOCUMENT_TEXT_H_
#define DSOCR_PROTO_DOCUMENT_TEXT_H_

#include <string>
#include <string_view>

#include "google/protobuf/descriptor.h"

namespace dsocr::document {

bool IsShape(const google::protobuf::Descriptor* type);       // a bare array of integers
bool IsParamValue(const google::protobuf::Descriptor* type);  // a bare scalar

// A JSON string literal that is a YAML double-quoted scalar too. Bytes that are not UTF-8 become U+FFFD.
std::string Quote(std::string_view text);

// The length of the well-formed UTF-8 sequence at the start of `text` (1 to 4), or 0.
size_t Utf8SequenceLength(std::string_view text);

}  // namespace dsocr::document

#endif  // DSOCR_PROTO_DOCUMENT_TEXT_H_
