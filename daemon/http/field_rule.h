// What the proto cannot say about the fields of a request: ranges, forms of a string, names in a catalogue. The JSON
// Schema of the request and the question whether a refused request was well-formed both come from this table.
#ifndef DSOCR_DAEMON_HTTP_FIELD_RULE_H_
#define DSOCR_DAEMON_HTTP_FIELD_RULE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

namespace dsocr::http {

// The names that there are on this daemon. The empty string, everywhere, is the default.
struct Vocabulary {
  std::vector<std::string> model_ids;
  std::vector<std::string> model_variants;
  std::vector<std::string> workloads;
  std::vector<std::string> devices;
  std::vector<std::string> dtypes;
};

struct FieldRule {
  std::string_view field;  // "WorkloadOverrides.base_size"
  std::string_view description;
  // Of an integer, or of each element of an array.
  int64_t minimum = 0;
  int64_t maximum = 0;
  int64_t multiple_of = 1;
  int max_items = 0;  // of an array
  // Of a string: one of `names`, or of this form (the part of ECMA 262 and RE2 that both read alike). Empty, 0: any.
  std::vector<std::string> Vocabulary::*names = nullptr;
  std::string_view pattern;
  int max_length = 0;  // the patterns of limited strings are of ASCII, so bytes are characters
  bool is_required = false;
};

// Null for a boolean, an enum or a message, which need none.
const FieldRule* FindRule(const google::protobuf::FieldDescriptor& field);

// Whether every value of `request` keeps the rules. One that does and is refused all the same is not malformed: its
// values do not go together, or not with what the daemon has.
bool IsWellFormed(const google::protobuf::Message& request, const Vocabulary& vocabulary);

}  // namespace dsocr::http

#endif  // DSOCR_DAEMON_HTTP_FIELD_RULE_H_
