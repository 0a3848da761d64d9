// Fills a message from a stream of parse events; knows neither JSON nor YAML.
//
// One open level is one Frame; memory beyond the message itself is bounded by kMaxDepth. The first problem ends the
// reading: every event returns false from then on, and problem() says what, where.
#ifndef DSOCR_PROTO_DOCUMENT_BINDER_H_
#define DSOCR_PROTO_DOCUMENT_BINDER_H_

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "dsocr/v1/analytic.pb.h"
#include "google/protobuf/message.h"
#include "proto/document.h"

namespace dsocr::document {

struct Null {};
// A number as it stands in the text where no 64-bit integer or finite double holds it.
struct NumberOutOfRange {
  std::string text;
};
using Scalar = std::variant<Null, bool, int64_t, double, std::string, NumberOutOfRange>;

struct Leniency {
  bool allow_unknown = false;
  bool allow_missing = false;
};

class Binder {
 public:
  // `message` must outlive the binder.
  Binder(google::protobuf::Message* message, Leniency leniency);

  bool BeginMap();
  bool Key(std::string key);
  bool EndMap();
  bool BeginSequence();
  bool EndSequence();
  bool Value(Scalar value);

  // A syntax error at the current place.
  bool Fail(std::string_view value, std::string reason);

  const std::optional<v1::CheckProblem>& problem() const { return problem_; }
  bool done() const { return started_ && frames_.empty(); }

 private:
  static constexpr int kMaxFields = 64;  // of a message type

  enum class Kind { kMessage, kMap, kArray, kShape, kIgnored };
  struct Frame {
    Kind kind;
    google::protobuf::Message* message = nullptr;  // kMessage; the owner of the field for kMap and kArray; kShape
    const google::protobuf::FieldDescriptor* field = nullptr;  // the field of the current key; of the array or map
    std::string key;                                           // the current one
    int64_t index = -1;                                        // of the current element
    std::bitset<kMaxFields> seen;                              // kMessage: fields by index
    absl::flat_hash_set<std::string> keys = {};                // kMap
  };

  bool Admit();             // counts a value, moves an array to its next element
  bool Enter(bool is_map);  // opens a container at the current place
  bool CheckAllSeen(const Frame& frame);
  bool SetField(google::protobuf::Message* message, const google::protobuf::FieldDescriptor* field, Scalar value);
  bool SetMapEntry(Frame& frame, Scalar value);
  bool SetParamValue(v1::ParamValue* param, Scalar value);
  bool AddDim(v1::Shape* shape, const Scalar& value);
  bool WrongType(const Scalar& value, std::string_view expected);
  std::string Path() const;

  google::protobuf::Message* root_;
  Leniency leniency_;
  bool started_ = false;
  size_t values_ = 0;
  std::vector<Frame> frames_;
  std::optional<v1::CheckProblem> problem_;
};

}  // namespace dsocr::document

#endif  // DSOCR_PROTO_DOCUMENT_BINDER_H_
