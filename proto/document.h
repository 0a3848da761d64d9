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

// Limits of Parse, for reports of attached jobs too: a full report of DeepSeek-OCR is about 0.5 MB with 60,000 values
// in 6 levels. Whoever reads a file looks at its size first. tests/proto/document_hostile_test.cc holds the worst
// documents within them to a second and 256 MiB.
inline constexpr size_t kMaxBytes = size_t{16} << 20;
inline constexpr size_t kMaxDepth = 64;
inline constexpr size_t kMaxValues = 250'000;  // of all kinds in one document
inline constexpr size_t kMaxKeyBytes = 128;    // escaped six-fold, still a key of YAML, which ends at 1024 characters

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
// `message` is then unspecified. Every key must be there, absent optionals as null: so a document that was cut off
// anywhere is one with an error, and in YAML its last line must end. YAML is read by the core schema of YAML 1.2;
// anchors, aliases, tags and second documents are refused.
absl::Status Parse(std::string_view text, Format format, bool allow_unknown, google::protobuf::Message* message);

// As Parse, for files that people write: any key may be missing, and unknown ones are errors.
absl::Status ParsePartial(std::string_view text, Format format, google::protobuf::Message* message);

// As Parse, for files of other programs: any key may be missing, and unknown ones are passed over.
absl::Status ParseForeign(std::string_view text, Format format, google::protobuf::Message* message);

// The rules of contracts section 1 that go beyond types: every violation, in document order, at most 1000 of them.
std::vector<v1::CheckProblem> Validate(const v1::AnalyticModelReport& report);

// Parse and Validate: the one problem of a document that does not parse, else those of Validate.
std::vector<v1::CheckProblem> Check(std::string_view text, Format format, bool allow_unknown);

}  // namespace dsocr::document

#endif  // DSOCR_PROTO_DOCUMENT_H_
