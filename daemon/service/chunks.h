// Files travel in chunks: what all calls that take or give one share.
#ifndef DSOCR_DAEMON_SERVICE_CHUNKS_H_
#define DSOCR_DAEMON_SERVICE_CHUNKS_H_

#include <cstddef>

#include "absl/status/status.h"

namespace dsocr::service {

inline constexpr size_t kChunkBytes = size_t{1} << 20;  // contracts section 4

inline absl::Status Gone() { return absl::CancelledError("call: the caller has gone; call again"); }

}  // namespace dsocr::service

#endif  // DSOCR_DAEMON_SERVICE_CHUNKS_H_
