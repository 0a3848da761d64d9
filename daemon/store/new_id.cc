#include "daemon/store/new_id.h"

#include <sys/random.h>

#include <cstdint>
#include <cstdlib>

#include "fmt/format.h"

namespace dsocr::store {

std::string NewId(std::string_view prefix) {
  uint64_t random = 0;
  // Up to 256 bytes come whole or not at all; the one failure left is a kernel without getrandom (before Linux 3.17).
  if (getrandom(&random, sizeof(random), 0) != sizeof(random)) {
    std::abort();
  }
  return fmt::format("{}-{:012x}", prefix, random >> 16);
}

}  // namespace dsocr::store
