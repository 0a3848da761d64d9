// The two macros that make absl::Status read like straight code.
#ifndef DSOCR_BASE_STATUS_H_
#define DSOCR_BASE_STATUS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define DSOCR_RETURN_IF_ERROR(expr)                               \
  do {                                                            \
    if (absl::Status dsocr_status = (expr); !dsocr_status.ok()) { \
      return dsocr_status;                                        \
    }                                                             \
  } while (false)

#define DSOCR_STATUS_CONCAT_(a, b) a##b
#define DSOCR_STATUS_CONCAT(a, b) DSOCR_STATUS_CONCAT_(a, b)

// DSOCR_ASSIGN_OR_RETURN(auto x, MakeX());
#define DSOCR_ASSIGN_OR_RETURN(lhs, expr) \
  DSOCR_ASSIGN_OR_RETURN_(DSOCR_STATUS_CONCAT(dsocr_status_or_, __LINE__), lhs, expr)
#define DSOCR_ASSIGN_OR_RETURN_(tmp, lhs, expr) \
  auto tmp = (expr);                            \
  if (!tmp.ok()) {                              \
    return std::move(tmp).status();             \
  }                                             \
  lhs = *std::move(tmp)

#endif  // DSOCR_BASE_STATUS_H_
