// Any bytes as a report: one line of error, or a report that reads back as it is written, in both formats.
#ifndef DSOCR_TESTS_FUZZ_REPORT_FUZZ_H_
#define DSOCR_TESTS_FUZZ_REPORT_FUZZ_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "proto/document.h"
#include "tests/fuzz/expect.h"

namespace dsocr {

inline void ExpectReadsBack(const v1::AnalyticModelReport& report, const std::string& text, document::Format format) {
  v1::AnalyticModelReport read;
  Expect(document::Parse(text, format, /*allow_unknown=*/false, &read).ok(), "what was written can be read");
  Expect(document::ToJson(read) == document::ToJson(report), "it reads back equal");
}

inline void FuzzReport(const uint8_t* data, size_t size, document::Format format) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  v1::AnalyticModelReport report;
  const absl::Status status = document::Parse(text, format, /*allow_unknown=*/true, &report);
  if (!status.ok()) {
    Expect(!status.message().empty() && status.message().find('\n') == absl::string_view::npos, "an error is one line");
    return;
  }
  ExpectReadsBack(report, document::ToJson(report), document::Format::kJson);
  ExpectReadsBack(report, document::ToYaml(report), document::Format::kYaml);
  for (const v1::CheckProblem& problem : document::Validate(report)) {
    Expect(!problem.path().empty() && !problem.reason().empty(), "a problem names its place and reason");
  }
}

}  // namespace dsocr

#endif  // DSOCR_TESTS_FUZZ_REPORT_FUZZ_H_
