// A JSON document read from front to back, value by value, in bounded memory: what does not matter is stepped over
// without being looked at closely.
//
// It reads what profilers write, not what the grammar allows: numbers in values that are stepped over may be NaN or
// inf. Nothing of the document is trusted: depth and length of strings are limited, and an end that comes early is an
// error. After an error there are no more values.
//
// Example, for {"a": [1, 2], "b": "x"}:
//
//     reader.BeginObject();
//     while (std::optional<std::string_view> key = reader.NextKey()) {
//       if (*key == "b") {
//         reader.ReadString(&text);
//       } else {
//         reader.Skip();
//       }
//     }
//     if (!reader.status().ok()) …
//
// Not thread-safe.
#ifndef DSOCR_DAEMON_ATTACH_JSON_READER_H_
#define DSOCR_DAEMON_ATTACH_JSON_READER_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace dsocr::attach {

class JsonReader {
 public:
  static constexpr size_t kMaxStringBytes = 64 * 1024;  // of keys and of what ReadString() and ReadScalar() give
  static constexpr int kMaxDepth = 64;

  enum class Type { kObject, kArray, kString, kScalar, kNone };  // scalar: a number or a word

  // Borrows `file`; reads ahead.
  explicit JsonReader(std::FILE* file);

  Type Peek();  // of the value that comes next; kNone: there is none

  // Each is false where another type comes next, which is an error.
  bool BeginObject();
  bool BeginArray();
  bool ReadString(std::string* value);  // unescaped, as UTF-8; half a surrogate pair is '?'
  bool ReadScalar(std::string* value);  // its text
  void Skip();

  // The next member of the object that was begun last and has not ended; nullopt: it has ended, or an error. The key is
  // valid until the next call and its escapes are kept.
  std::optional<std::string_view> NextKey();
  bool NextElement();  // the same of an array

  // DATA_LOSS, with what was expected and the offset.
  const absl::Status& status() const { return status_; }
  int64_t offset() const { return consumed_ + static_cast<int64_t>(at_); }

 private:
  static constexpr size_t kBufferBytes = 256 * 1024;
  static_assert(kBufferBytes > kMaxStringBytes);

  bool Refill();           // keeps what is not consumed; false: nothing more comes
  char PeekToken();        // the next byte that is no white space; 0: none
  bool Expect(char byte);  // consumes it
  void Fail(std::string_view expected);
  bool NextItem(char end);
  // The string that comes next, without its quotes, as it stands in the buffer.
  std::optional<std::string_view> RawString();
  void SkipString();
  void StepOverScalar();

  std::FILE* const file_;
  const std::unique_ptr<char[]> buffer_;
  size_t at_ = 0;  // buffer_[at_, end_) is not consumed yet
  size_t end_ = 0;
  int64_t consumed_ = 0;   // bytes of the file before the buffer
  bool is_first_ = false;  // no item of the innermost object or array came yet
  int depth_ = 0;
  std::string key_;  // where white space stands between it and its colon
  absl::Status status_;
};

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_JSON_READER_H_
