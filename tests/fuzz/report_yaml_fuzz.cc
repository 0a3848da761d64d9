#include "tests/fuzz/report_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  dsocr::FuzzReport(data, size, dsocr::document::Format::kYaml);
  return 0;
}
