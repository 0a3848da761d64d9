#ifndef DSOCR_DAEMON_CATALOG_SHA256_H_
#define DSOCR_DAEMON_CATALOG_SHA256_H_

#include <string>
#include <string_view>

namespace dsocr::catalog {

// 64 hex digits. Pure function.
std::string Sha256Hex(std::string_view text);

}  // namespace dsocr::catalog

#endif  // DSOCR_DAEMON_CATALOG_SHA256_H_
