// Any bytes as a stored trace, as coded records, and as records that are to be stored and read back.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include "cupti/record/trace_file.h"
#include "tests/fuzz/expect.h"

namespace {

using namespace dsocr::record;
using dsocr::Expect;

void ReadAsFile(const uint8_t* data, size_t size) {
  std::FILE* file = fmemopen(const_cast<uint8_t*>(data), size, "rb");
  Expect(file != nullptr, "bytes are a file");
  TraceReader reader(file);
  int64_t offset = reader.offset();
  for (auto block = reader.Next(); !block.empty(); block = reader.Next()) {
    Expect(reader.offset() > offset && reader.offset() <= static_cast<int64_t>(size), "a block is in the file");
    offset = reader.offset();
  }
  Expect(reader.state() != TraceReader::State::kMore, "the end has a reason");
  std::fclose(file);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) {
    return 0;
  }
  ReadAsFile(data, size);

  std::vector<Record> decoded(256);
  TraceDecoder().Decode(data, size, decoded.size(), decoded.data());  // no checksum stands before it

  TraceEncoder encoder;
  const size_t count = size / sizeof(Record);
  for (size_t i = 0; i < count; ++i) {
    Record record;
    std::memcpy(static_cast<void*>(&record), data + i * sizeof(record), sizeof(record));
    encoder.Add(record);
  }
  const std::vector<uint8_t>& bytes = encoder.Finish();
  std::vector<Record> back(count + 1);
  Expect(TraceDecoder().Decode(bytes.data(), bytes.size(), count, back.data()), "what was coded is decoded");
  Expect(std::memcmp(back.data(), data, count * sizeof(Record)) == 0, "records come back as they were");
  return 0;
}
