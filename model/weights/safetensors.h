// A safetensors file, memory-mapped and checked.
//
// Layout: a little-endian 64-bit header length, that many bytes of JSON {name: {dtype, shape, data_offsets: [begin,
// end)}}, then the data; offsets count from the end of the header. The file is hostile until checked: Open refuses a
// header longer than the file or 100 MB (the limit of the reference implementation), offsets out of range, overlapping
// or out of step with shape and dtype, and duplicate names. Every error is an InputError naming file and tensor.
#ifndef DSOCR_MODEL_WEIGHTS_SAFETENSORS_H_
#define DSOCR_MODEL_WEIGHTS_SAFETENSORS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace dsocr::model {

// A read-only private mapping of a whole file. Pages are read on first touch; the file must not shrink while it is
// mapped.
class MappedFile {
 public:
  // Throws InputError: not there, not readable, not a regular file.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();

  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const uint8_t* data() const { return data_; }
  uint64_t size_bytes() const { return size_bytes_; }

 private:
  const uint8_t* data_ = nullptr;
  uint64_t size_bytes_ = 0;
};

struct TensorEntry {
  at::ScalarType dtype = at::ScalarType::Undefined;
  std::vector<int64_t> shape;
  uint64_t begin_bytes = 0;  // from the start of the data
  uint64_t end_bytes = 0;
};

class SafetensorsFile {
 public:
  // Maps and checks `path`. Throws InputError.
  static SafetensorsFile Open(const std::filesystem::path& path);

  const std::map<std::string, TensorEntry>& entries() const { return entries_; }
  const std::filesystem::path& path() const { return path_; }

  // A CPU tensor over the mapping itself, or over a copy where the data is not aligned to its element. It keeps the
  // mapping alive and must not be written to. Throws InputError where there is no such tensor.
  at::Tensor Read(const std::string& name) const;

 private:
  SafetensorsFile() = default;

  std::filesystem::path path_;
  std::shared_ptr<const MappedFile> file_;
  uint64_t data_start_bytes_ = 0;
  std::map<std::string, TensorEntry> entries_;
};

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_WEIGHTS_SAFETENSORS_H_
