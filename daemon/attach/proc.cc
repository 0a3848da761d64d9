#include "daemon/attach/proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <memory>

#include "base/unique_fd.h"

namespace dsocr::attach {
namespace {

// A torch job has about 2,000 mappings of 100 bytes.
constexpr size_t kMapsLimitBytes = 16 << 20;
constexpr std::string_view kDeleted = " (deleted)";

std::optional<Mapping> ParseMapping(const std::string& line) {
  Mapping mapping;
  int path_at = 0;
  if (std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %*4s %" SCNx64 " %*s %*s %n", &mapping.begin, &mapping.end,
                  &mapping.offset, &path_at) != 3 ||
      path_at == 0) {
    return std::nullopt;
  }
  mapping.path = line.substr(path_at);
  if (mapping.path.ends_with(kDeleted)) {
    mapping.path.resize(mapping.path.size() - kDeleted.size());
  }
  return mapping;
}

}  // namespace

std::optional<std::string> ReadFile(const std::string& path, size_t limit) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd.valid()) {
    return std::nullopt;
  }
  std::string content;
  while (content.size() < limit) {
    const size_t had = content.size();
    content.resize(std::min(limit, had + 16384));
    const ssize_t count = ::read(fd.get(), content.data() + had, content.size() - had);
    content.resize(had + std::max<ssize_t>(count, 0));
    if (count < 0) {
      return std::nullopt;
    }
    if (count == 0) {
      break;
    }
  }
  return content;
}

std::string ReadLink(const std::string& path) {
  char target[PATH_MAX];
  const ssize_t size = ::readlink(path.c_str(), target, sizeof(target));
  return size > 0 ? std::string(target, size) : std::string();
}

std::vector<int> ListNumbers(const std::string& directory, size_t limit) {
  std::vector<int> numbers;
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(::opendir(directory.c_str()), ::closedir);
  while (entries != nullptr && numbers.size() < limit) {
    const dirent* entry = ::readdir(entries.get());
    if (entry == nullptr) {
      break;
    }
    const std::string_view name = entry->d_name;
    int number = 0;
    if (const auto [end, error] = std::from_chars(name.begin(), name.end(), number);
        error == std::errc() && end == name.end()) {
      numbers.push_back(number);
    }
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

std::vector<Mapping> ReadMappings(pid_t pid) {
  std::vector<Mapping> mappings;
  const std::string text = ReadFile(ProcPath(pid, "maps"), kMapsLimitBytes).value_or("");
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    if (end == std::string::npos) {
      break;
    }
    if (std::optional<Mapping> mapping = ParseMapping(text.substr(begin, end - begin))) {
      mappings.push_back(*std::move(mapping));
    }
    begin = end + 1;
  }
  return mappings;
}

std::string_view BaseName(std::string_view path) { return path.substr(path.rfind('/') + 1); }

}  // namespace dsocr::attach
