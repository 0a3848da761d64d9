// What a fuzzer demands of its input's reader: a broken law is a crash.
#ifndef DSOCR_TESTS_FUZZ_EXPECT_H_
#define DSOCR_TESTS_FUZZ_EXPECT_H_

#include <cstdio>
#include <cstdlib>

namespace dsocr {

inline void Expect(bool law, const char* what) {
  if (!law) {
    std::fprintf(stderr, "broken: %s\n", what);
    std::abort();
  }
}

}  // namespace dsocr

#endif  // DSOCR_TESTS_FUZZ_EXPECT_H_
