// Names for new things: "r-3f09c2a1b7e4".
#ifndef DSOCR_DAEMON_STORE_NEW_ID_H_
#define DSOCR_DAEMON_STORE_NEW_ID_H_

#include <string>
#include <string_view>

namespace dsocr::store {

// `prefix`, '-', 12 hex digits from the kernel's random source: among a million ids the chance of one collision is
// under 0.2 %, and a collision shows as ALREADY_EXISTS, never as an overwritten report.
std::string NewId(std::string_view prefix);

}  // namespace dsocr::store

#endif  // DSOCR_DAEMON_STORE_NEW_ID_H_
