// The version of this build.
#ifndef DSOCR_CLIENT_VERSION_H_
#define DSOCR_CLIENT_VERSION_H_

#include <string_view>

namespace dsocr::client {

inline constexpr std::string_view kVersion = DSOCR_VERSION;  // "0.1.0", from project() in CMakeLists.txt

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_VERSION_H_
