// Writes small safetensors files, right ones and hostile ones.
#ifndef DSOCR_TESTS_MODEL_WEIGHTS_SAFETENSORS_FAKE_H_
#define DSOCR_TESTS_MODEL_WEIGHTS_SAFETENSORS_FAKE_H_

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

namespace dsocr::model {

inline std::string LengthPrefix(uint64_t length) {
  std::string bytes;
  for (int shift = 0; shift < 64; shift += 8) bytes.push_back(static_cast<char>(length >> shift & 0xff));
  return bytes;
}

inline void WriteSafetensors(const std::filesystem::path& path, const std::string& header, size_t data_bytes) {
  std::ofstream(path, std::ios::binary) << LengthPrefix(header.size()) << header << std::string(data_bytes, '\0');
}

}  // namespace dsocr::model

#endif  // DSOCR_TESTS_MODEL_WEIGHTS_SAFETENSORS_FAKE_H_
