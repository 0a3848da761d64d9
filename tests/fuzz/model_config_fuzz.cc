// Any bytes as a model's config.json: an error, or sizes that read back as they are written.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "daemon/catalog/model_config.h"
#include "tests/fuzz/expect.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using dsocr::Expect;
  const absl::StatusOr<dsocr::analytic::ModelSpec> spec =
      dsocr::catalog::ParseModelConfig(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!spec.ok()) {
    Expect(spec.status().message().find('\n') == absl::string_view::npos, "an error is one line");
    return 0;
  }
  const std::string written = dsocr::catalog::ModelConfigJson(*spec);
  const absl::StatusOr<dsocr::analytic::ModelSpec> read = dsocr::catalog::ParseModelConfig(written);
  Expect(read.ok() && dsocr::catalog::ModelConfigJson(*read) == written, "what was written reads back");
  return 0;
}
