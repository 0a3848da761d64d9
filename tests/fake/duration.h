// Durations as scripts and faults write them.
#ifndef DSOCR_TESTS_FAKE_DURATION_H_
#define DSOCR_TESTS_FAKE_DURATION_H_

#include <cstdint>
#include <string>

namespace dsocr::fake {

// "5", "300ns", "20us", "2ms", "1.5s", with a sign or without; false: it is none of these.
bool ParseDuration(const std::string& text, int64_t* duration_ns);

}  // namespace dsocr::fake

#endif  // DSOCR_TESTS_FAKE_DURATION_H_
