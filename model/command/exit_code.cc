#include "model/command/exit_code.h"

#include "model/device.h"

namespace dsocr::model {

int ExitCodeOf(const InputError& error) {
  if (dynamic_cast<const DeviceError*>(&error) != nullptr) return kExitNoSuchThing;
  switch (error.code()) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kNotFound:
    case ErrorCode::kFailedPrecondition:
      return kExitUsage;
    case ErrorCode::kPermissionDenied:
      return kExitNotPermitted;
    case ErrorCode::kResourceExhausted:
    case ErrorCode::kInternal:
      break;
  }
  return kExitFailed;
}

ErrorCode EventCodeOf(const InputError& error) {
  switch (ExitCodeOf(error)) {
    case kExitUsage:
      return ErrorCode::kInvalidArgument;
    case kExitNoSuchThing:
      return ErrorCode::kNotFound;
    default:
      return error.code();
  }
}

}  // namespace dsocr::model
