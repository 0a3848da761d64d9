#include "daemon/catalog/sha256.h"

#include <openssl/evp.h>

#include <array>
#include <cstdlib>

#include "fmt/format.h"

namespace dsocr::catalog {

std::string Sha256Hex(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes;
  unsigned int size = 0;
  // Fails only where OpenSSL cannot allocate or is built without SHA-256: nothing that a caller could mend.
  if (EVP_Digest(text.data(), text.size(), bytes.data(), &size, EVP_sha256(), nullptr) != 1) {
    std::abort();
  }
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) {
    hex += fmt::format("{:02x}", bytes[i]);
  }
  return hex;
}

}  // namespace dsocr::catalog
