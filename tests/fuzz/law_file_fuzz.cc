// Any bytes as a calibration of operator laws: an error, or a file that is written again as it was, and predicts.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "daemon/calibrate/law_file.h"
#include "tests/fuzz/expect.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dsocr;
  const auto file = calibrate::ReadLawFile(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!file.ok()) {
    Expect(file.status().code() == absl::StatusCode::kInvalidArgument, "what is no calibration is a bad file");
    return 0;
  }
  const std::string written = calibrate::WriteLawFile(*file);
  const auto read = calibrate::ReadLawFile(written);
  Expect(read.ok() && calibrate::WriteLawFile(*read) == written, "what was written reads back");
  const analytic::OperatorSize sizes[] = {analytic::GemmSize{1, 1280, 1280}, analytic::GemmSize{4096, 1, 7},
                                          analytic::AttentionSize{1, 1, 300, 10, 10, 128, true},
                                          analytic::AttentionSize{25, 196, 196, 12, 12, 64, false},
                                          analytic::MoeSize{1, 1280, 896, 6, 64, "balanced"}};
  for (const analytic::OperatorSize& operator_size : sizes) {
    PredictOperator(file->model, file->model.device, operator_size, analytic::Precision::kBf16);
  }
  return 0;
}
