// The one reader and writer between messages and the contract's JSON and YAML, for daemon and client alike.
//
// A document is a message by reflection: keys are the proto's field names in the order of declaration, every key is
// always there, an absent optional (or message) is null, enums are lower-case words without their prefix ("vision"),
// 64-bit integers are numbers, doubles are the shortest text that reads back equal and always carry a point (1.0, so
// that a float never turns into an int on its way through another language), maps have sorted keys, v1.Shape is a bare
// array of integers and v1.ParamValue a bare scalar.
//
//   1. Parse(ToX(m)) gives a message equal to m, and writing that again gives the same bytes.
//   2. Reading takes linear time and memory bounded by a small multiple of the input, whatever the input is.
//
// Pure functions: safe from any thread. `bytes` fields do not occur in documents.
#ifndef DSOCR_PROTO_DOCUMENT_H_
#define DSOCR_PROTO_DOCUMENT_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "dsocr/v1/analytic.pb.h"
#include "dsocr/v1/report.pb.h"
#include "google/protobuf/message.h"

namespace dsocr::document {

enum class Format { kJson, kYaml };

// Limits of Parse. A full report is about 0.5 MB with 60,000 values in 6 levels.
inline constexpr size_t kMaxJsonBytes = size_t{128} << 20;
inline constexpr size_t kMaxYamlBytes = size_t{4} << 20;  // yaml-cpp reads about 3 MB/s on 2 vCPU EPYC
inline constexpr size_t kMaxDepth = 64;
inline constexpr size_t kMaxValues = 1'000'000;  // of all kinds in one document

// Two-space indentation, arrays of numbers on one line, a newline at the end. A number that is not finite is written as
// null, which Parse refuses: Validate comes first.
std::string ToJson(const google::protobuf::Message& message);

// The same document. Strings are quoted wherever some YAML reader could take them for something else ("no", "1.0",
// dates).
std::string ToYaml(const google::protobuf::Message& message);

// The shortest text that reads back equal, always with a point: "1.0", "0.1", "1.0e-07" (what JSON and YAML 1.1 and 1.2
// all read as a float). Not finite: "null".
std::string FormatDouble(double value);

// The word of an enum value in documents: STAGE_VISION -> "vision".
std::string EnumWord(const google::protobuf::EnumValueDescriptor& value);

// ".yaml" and ".yml" are YAML, everything else is JSON.
Format FormatOfFileName(std::string_view file_name);

// Fills `message` from a document of its type. INVALID_ARGUMENT, one line "PATH: VALUE: REASON", for a syntax error, an
// unknown key (unless allow_unknown), a duplicate or missing key, a wrong type, a number out of range, a limit passed;
// `message` is then unspecified. A missing key is accepted where the proto says optional. YAML is read by the core
// schema of YAML 1.2; anchors, aliases, tags and second documents are refused.
absl::Status Parse(std::string_view text, Format format, bool allow_unknown, google::protobuf::Message* message);

// As Parse, for files that people write: any key may be missing, and unknown ones are errors.
absl::Status ParsePartial(std::string_view text, Format format, google::protobuf::Message* message);

// The rules of contracts section 1 that go beyond types: every violation, in document order, at most 1000 of them.
std::vector<v1::CheckProblem> Validate(const v1::AnalyticModelReport& report);

// Parse and Validate: the one problem of a document that does not parse, else those of Validate.
std::vector<v1::CheckProblem> Check(std::string_view text, Format format, bool allow_unknown);

}  // namespace dsocr::document

#endif  // DSOCR_PROTO_DOCUMENT_H_
