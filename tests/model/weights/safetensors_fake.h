// Writes small safetensors files, right ones and hostile ones.
#ifndef DSOCR_TESTS_MODEL_WEIGHTS_SAFETENSORS_FAKE_H_
#define DSOCR_TESTS_MODEL_WEIGHTS_SAFETENSORS_FAKE_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

namespace dsocr::model {

// A directory of its own for one test, removed with it.
class TempDir {
 public:
  TempDir() {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    path_ = std::filesystem::temp_directory_path() /
            (std::string("dsocr-") + test->name() + "-" + std::to_string(::getpid()));
    std::filesystem::create_directories(path_);
  }
  ~TempDir() { std::filesystem::remove_all(path_); }

  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline void WriteFile(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

inline std::string LengthPrefix(uint64_t length) {
  std::string bytes;
  for (int shift = 0; shift < 64; shift += 8) bytes.push_back(static_cast<char>(length >> shift & 0xff));
  return bytes;
}

inline void WriteSafetensors(const std::filesystem::path& path, const std::string& header, size_t data_bytes) {
  WriteFile(path, LengthPrefix(header.size()) + header + std::string(data_bytes, '\0'));
}

}  // namespace dsocr::model

#endif  // DSOCR_TESTS_MODEL_WEIGHTS_SAFETENSORS_FAKE_H_
