// Traces as text, for tests.
#ifndef DSOCR_TESTS_DAEMON_ATTACH_TRACE_TEXT_H_
#define DSOCR_TESTS_DAEMON_ATTACH_TRACE_TEXT_H_

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "daemon/attach/chrome_trace.h"

namespace dsocr::attach {

inline std::string GoldenTrace(std::string_view name) {
  std::ifstream stream(std::string(DSOCR_SOURCE_DIR "/tests/golden/traces/").append(name), std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

inline absl::StatusOr<ChromeTrace> ReadTrace(std::string text) {
  std::FILE* const file = ::fmemopen(text.data(), text.size(), "rb");
  absl::StatusOr<ChromeTrace> trace = ReadChromeTrace(file, [] { return false; });
  std::fclose(file);
  return trace;
}

}  // namespace dsocr::attach

#endif  // DSOCR_TESTS_DAEMON_ATTACH_TRACE_TEXT_H_
