// YAML text to parse events.
#ifndef DSOCR_PROTO_DOCUMENT_YAML_H_
#define DSOCR_PROTO_DOCUMENT_YAML_H_

#include <string_view>

#include "proto/document_binder.h"

namespace dsocr::document {

// One document, plain scalars resolved by the core schema of YAML 1.2. What is wrong with it is the binder's problem.
// REQUIRES: UTF-8. The text outlives the call alone.
//
// `must_end`: a document in block style whose last line has no newline is refused. Nothing else tells one that was cut
// off in that line.
void ReadYaml(std::string_view text, bool must_end, Binder& binder);

}  // namespace dsocr::document

#endif  // DSOCR_PROTO_DOCUMENT_YAML_H_
