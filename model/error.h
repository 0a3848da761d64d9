// The one exception of model/: what the caller handed in cannot be used.
//
// LibTorch throws, so model/ throws too; the runner's request boundary catches once and turns an InputError into the
// `error` event of docs/runner-protocol.md or into the one line `WHAT: WHY; WHAT TO DO` and an exit code. Lower case,
// no final period.
//
//   throw InputError(ErrorCode::kInvalidArgument, "image 'a.png'", "truncated PNG data", "save the file again");
//   // what(): image 'a.png': truncated PNG data; save the file again
#ifndef DSOCR_MODEL_ERROR_H_
#define DSOCR_MODEL_ERROR_H_

#include <stdexcept>
#include <string>
#include <utility>

namespace dsocr::model {

enum class ErrorCode {
  kInvalidArgument,     // the value or file is malformed
  kNotFound,            // there is no such file, tensor or device
  kFailedPrecondition,  // well-formed, but not usable here and now
  kPermissionDenied,
  kResourceExhausted,  // needs more memory or time than is allowed
  kInternal,
};

// The spelling in the runner protocol, e.g. "invalid_argument".
inline const char* ErrorCodeName(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "invalid_argument";
    case ErrorCode::kNotFound:
      return "not_found";
    case ErrorCode::kFailedPrecondition:
      return "failed_precondition";
    case ErrorCode::kPermissionDenied:
      return "permission_denied";
    case ErrorCode::kResourceExhausted:
      return "resource_exhausted";
    case ErrorCode::kInternal:
      break;
  }
  return "internal";
}

// Immutable after construction. `todo` may be empty where there is no useful next step.
class InputError : public std::runtime_error {
 public:
  InputError(ErrorCode code, std::string what_failed, std::string why, std::string todo)
      : std::runtime_error(what_failed + ": " + why + (todo.empty() ? "" : "; " + todo)),
        code_(code),
        what_failed_(std::move(what_failed)),
        why_(std::move(why)),
        todo_(std::move(todo)) {}

  ErrorCode code() const { return code_; }
  const std::string& what_failed() const { return what_failed_; }
  const std::string& why() const { return why_; }
  const std::string& todo() const { return todo_; }

 private:
  ErrorCode code_;
  std::string what_failed_;
  std::string why_;
  std::string todo_;
};

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_ERROR_H_
