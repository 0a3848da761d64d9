#include "tests/model/image/golden_cases.h"

#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include <fstream>
#include <stdexcept>

namespace dsocr::model {

nlohmann::json ReadGolden(const std::string& name) {
  std::ifstream file(std::string(DSOCR_SOURCE_DIR) + "/tests/golden/" + name);
  return nlohmann::json::parse(file);
}

Image NoisePage(int width, int height) {
  Image page{width, height, std::vector<uint8_t>(static_cast<size_t>(width) * height * 3)};
  uint32_t value = 1;
  for (uint8_t& byte : page.rgb) {
    byte = static_cast<uint8_t>(value >> 24);
    value += 2654435761u;
  }
  return page;
}

uint32_t Crc32(const std::vector<uint8_t>& bytes) {
  return static_cast<uint32_t>(crc32_z(0, bytes.data(), bytes.size()));
}

uint32_t Crc32(const std::vector<float>& values) {
  return static_cast<uint32_t>(
      crc32_z(0, reinterpret_cast<const Bytef*>(values.data()), values.size() * sizeof(float)));
}

std::string FromHex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

TempFile::TempFile(const std::string& content) {
  std::string name = std::filesystem::temp_directory_path() / "dsocr-image-XXXXXX";
  const int fd = ::mkstemp(name.data());
  if (fd < 0) {
    throw std::runtime_error("cannot make " + name);
  }
  ::close(fd);
  path_ = name;
  std::ofstream(path_, std::ios::binary) << content;
}

TempFile::~TempFile() { std::filesystem::remove(path_); }

}  // namespace dsocr::model
