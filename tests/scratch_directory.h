// A directory of its own for one test, gone with all it holds at the end of the scope. ctest runs the tests of one
// program as processes beside each other, so a name that two tests share is a race.
#ifndef DSOCR_TESTS_SCRATCH_DIRECTORY_H_
#define DSOCR_TESTS_SCRATCH_DIRECTORY_H_

#include <stdlib.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>

namespace dsocr {

// In a fixture it stands before the members that use it, so that it goes after them. Mode 0700. What cannot be made or
// written is a std::filesystem::filesystem_error, which fails the test.
class ScratchDirectory final {
 public:
  ScratchDirectory() : path_(Make()) {}
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  ~ScratchDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::filesystem::path& path() const { return path_; }
  // REQUIRES, here and below: `name` is relative, and may lead through directories.
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

  // Makes or replaces the file with these bytes, and the directories on the way; its path.
  std::string Write(std::string_view name, std::string_view bytes) const {
    const std::filesystem::path file = *this / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream stream(file, std::ios::binary);
    stream << bytes << std::flush;
    if (!stream) {
      throw std::filesystem::filesystem_error("cannot write", file, LastError());
    }
    return file;
  }

 private:
  static std::filesystem::path Make() {
    std::string name = std::filesystem::temp_directory_path() / "dsocr-XXXXXX";  // short: a socket path has 107 bytes
    if (::mkdtemp(name.data()) == nullptr) {
      throw std::filesystem::filesystem_error("cannot make", name, LastError());
    }
    return name;
  }
  static std::error_code LastError() { return {errno, std::generic_category()}; }

  const std::filesystem::path path_;
};

}  // namespace dsocr

#endif  // DSOCR_TESTS_SCRATCH_DIRECTORY_H_
