// Any records, as attribution folds them: definitions of names and paths, ranges, operations, ledgers, modules.
//
//     input := options (1) | records
#include <cstddef>
#include <cstdint>

#include "cupti/attribution/attribution.h"
#include "tests/fuzz/attribution_laws.h"
#include "tests/fuzz/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dsocr;
  Bytes input(data, size);
  const auto choice = input.Take<uint8_t>();
  attribution::Options options;
  if ((choice & 1) != 0) {
    options.request_range = "a";
    options.skip_requests = (choice >> 1) & 1;
  }
  if ((choice & 4) != 0) {
    options.expected_step = {{{"b", "c"}, {"gemm", "other"}, 2}, {{"b"}, {"other"}, 1}};
  }
  if ((choice & 8) != 0) {
    options.resolve_range = [](std::string_view name) -> attribution::RangeMeaning {
      return name.starts_with('x') ? attribution::RangeMeaning{} : attribution::RangeMeaning{std::string(name), "norm"};
    };
  }
  attribution::Attribution attribution(options);
  int64_t count = 0;
  for (; !input.empty(); ++count) {
    attribution.Consume(input.Take<record::Record>());
  }
  for (const attribution::LiveModule& module : attribution.Live()) {
    Expect(module.depth >= 0 && module.device_ns >= module.self_device_ns, "a live module is a module");
  }
  const attribution::Result result = attribution.Finish();
  Expect(result.records_received == count, "every record is counted");
  ExpectSumsClose(result);
  return 0;
}
