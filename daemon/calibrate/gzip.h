// Unpacking of files that people compressed.
#ifndef DSOCR_DAEMON_CALIBRATE_GZIP_H_
#define DSOCR_DAEMON_CALIBRATE_GZIP_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace dsocr::calibrate {

bool IsGzip(std::string_view bytes);  // by its first two bytes

// All members of a gzip file (RFC 1952), one behind the other. INVALID_ARGUMENT for what is none, is damaged or cut
// off, or unpacks to more than `max_bytes`: it is unpacked no further then.
absl::StatusOr<std::string> Gunzip(std::string_view bytes, size_t max_bytes);

}  // namespace dsocr::calibrate

#endif  // DSOCR_DAEMON_CALIBRATE_GZIP_H_
