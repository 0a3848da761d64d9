// The version of this build.
#ifndef DSOCR_DAEMON_CONFIG_VERSION_H_
#define DSOCR_DAEMON_CONFIG_VERSION_H_

#include <string_view>

namespace dsocr::config {

inline constexpr std::string_view kVersion = DSOCR_VERSION;  // "0.1.0", from project() in CMakeLists.txt

}  // namespace dsocr::config

#endif  // DSOCR_DAEMON_CONFIG_VERSION_H_
