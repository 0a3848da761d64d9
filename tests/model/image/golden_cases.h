// What the tests of model/image share: recorded cases, noise pages, checksums, files of a given content.
#ifndef DSOCR_TESTS_MODEL_IMAGE_GOLDEN_CASES_H_
#define DSOCR_TESTS_MODEL_IMAGE_GOLDEN_CASES_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "model/image/image.h"

namespace dsocr::model {

// tests/golden/<name>, parsed.
nlohmann::json ReadGolden(const std::string& name);

// The page of tests/golden/pillow/make.py: byte i is the top byte of i * 2654435761 + 1 (mod 2^32).
Image NoisePage(int width, int height);

uint32_t Crc32(const std::vector<uint8_t>& bytes);
uint32_t Crc32(const std::vector<float>& values);

std::string FromHex(std::string_view hex);

// A file with this content, gone at the end of the scope.
class TempFile {
 public:
  explicit TempFile(const std::string& content);
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  ~TempFile();

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace dsocr::model

#endif  // DSOCR_TESTS_MODEL_IMAGE_GOLDEN_CASES_H_
