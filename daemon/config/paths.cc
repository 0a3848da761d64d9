#include "daemon/config/paths.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "fmt/format.h"

namespace dsocr::config {
namespace {

// An empty or relative directory variable counts as unset (XDG Base Directory Specification 0.8, "Environment
// variables").
std::string AbsoluteVariable(const Surroundings& surroundings, const std::string& name) {
  const auto found = surroundings.environment.find(name);
  return found != surroundings.environment.end() && found->second.starts_with('/') ? found->second : "";
}

bool IsDirectoryOf(const std::string& path, uid_t uid) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == uid;
}

}  // namespace

Surroundings Surroundings::OfThisProcess() {
  Surroundings surroundings;
  for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (const size_t equals = text.find('='); equals != std::string::npos) {
      surroundings.environment.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
  }
  surroundings.uid = ::getuid();
  std::error_code error;
  surroundings.executable_dir = std::filesystem::read_symlink("/proc/self/exe", error).parent_path().string();
  return surroundings;
}

std::string DefaultSocketDir(const Surroundings& surroundings) {
  if (const std::string runtime = AbsoluteVariable(surroundings, "XDG_RUNTIME_DIR"); !runtime.empty()) {
    return runtime + "/dsocr";
  }
  if (const std::string runtime = fmt::format("/run/user/{}", surroundings.uid);
      IsDirectoryOf(runtime, surroundings.uid)) {
    return runtime + "/dsocr";
  }
  return fmt::format("/tmp/dsocr-{}", surroundings.uid);
}

std::string StateDir(const Surroundings& surroundings) {
  if (const std::string state = AbsoluteVariable(surroundings, "XDG_STATE_HOME"); !state.empty()) {
    return state + "/dsocr";
  }
  if (const std::string home = AbsoluteVariable(surroundings, "HOME"); !home.empty()) {
    return home + "/.local/state/dsocr";
  }
  return fmt::format("/tmp/dsocr-{}/state", surroundings.uid);
}

}  // namespace dsocr::config
