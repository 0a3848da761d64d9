#include "cupti/agent/process_map.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace dsocr::agent {

bool HasMapped(const char* name) noexcept {
  const int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return false;
  }
  char buffer[1 << 15];
  size_t kept = 0;
  bool found = false;
  for (ssize_t size; !found && (size = read(fd, buffer + kept, sizeof(buffer) - 1 - kept)) > 0;) {
    const size_t total = kept + static_cast<size_t>(size);
    buffer[total] = '\0';
    found = std::strstr(buffer, name) != nullptr;
    // A name may be cut by the end of the buffer: carry its last bytes over.
    kept = std::min(total, std::strlen(name));
    std::memmove(buffer, buffer + total - kept, kept);
  }
  close(fd);
  return found;
}

}  // namespace dsocr::agent
