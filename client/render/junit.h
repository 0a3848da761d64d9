// A validation as a JUnit report, which CI systems show.
#ifndef DSOCR_CLIENT_RENDER_JUNIT_H_
#define DSOCR_CLIENT_RENDER_JUNIT_H_

#include <string>

#include "dsocr/v1/verdict.pb.h"

namespace dsocr::client {

// A test suite a case; in it a test a stage, and one for the comparison with a baseline where there was one. A stage
// outside of a bound is a failure, a case that could not be measured an error.
std::string JUnitXml(const v1::Validation& validation);

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_RENDER_JUNIT_H_
