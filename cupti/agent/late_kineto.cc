#include "cupti/agent/late_kineto.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <type_traits>

#include "cupti/agent/daemon_socket.h"

namespace dsocr::agent {
namespace {

// Major and minor of the torch in which the functions below are as they are called here.
constexpr uint64_t kTriedVersion = 0x020b;
constexpr int kVersionShift = 48;
constexpr size_t kProfilerOffset = 8;  // of LibkinetoApi::activityProfiler_: null until somebody profiles

// Kineto copies the path of a socket to where it has this much room, without looking. Its own socket has the longer
// name: dynoconfigclient and a UUID.
constexpr size_t kLongestName = 1 + 16 + 36;
constexpr size_t kMaxDirectory = sizeof(sockaddr_un::sun_path) - 1 - kLongestName;

constexpr char kSettings[] = "ON_DEMAND_CONFIG_UPDATE_INTERVAL_SECS=1\n";

struct Kineto {
  uint64_t (*version)();
  char* (*api)();
  void (*init)();  // as at the end of `import torch`: begins if KINETO_USE_DAEMON is set, and says nothing more
};

bool FindKineto(Kineto* kineto) {
  void* const library = dlopen("libtorch_cpu.so", RTLD_NOW | RTLD_NOLOAD);
  const auto find = [library](const char* name, auto* function) {
    *function = reinterpret_cast<std::remove_pointer_t<decltype(function)>>(dlsym(library, name));
    return *function != nullptr;
  };
  return library != nullptr && find("aoti_torch_abi_version", &kineto->version) &&
         kineto->version() >> kVersionShift == kTriedVersion && find("_ZN9libkineto3apiEv", &kineto->api) &&
         find("_ZN5torch18global_kineto_initEv", &kineto->init);
}

bool HasProfiler(const Kineto& kineto) {
  return __atomic_load_n(reinterpret_cast<void**>(kineto.api() + kProfilerOffset), __ATOMIC_ACQUIRE) != nullptr;
}

// --- Where Kineto asks

char directory[sizeof(sockaddr_un::sun_path)];  // empty: Kineto has not begun
pid_t directory_pid = 0;                        // whose it is: not that of a forked child

// At the end of the process, or when nothing came of it.
void RemoveDirectory() noexcept {
  DIR* const stream = directory_pid == getpid() ? opendir(directory) : nullptr;
  if (stream == nullptr) {
    return;
  }
  while (const dirent* const entry = readdir(stream)) {
    unlinkat(dirfd(stream), entry->d_name, 0);  // "." and ".." refuse
  }
  closedir(stream);
  rmdir(directory);
}

// Our directory, with Kineto's settings in it. False: it would not be ours alone, or its path is too long.
bool MakeDirectory(char (&settings)[sizeof(directory) + 16]) {
  if (!MakePrivateDirectory(directory)) {
    return false;
  }
  const size_t parent = std::strlen(directory);
  const int length = std::snprintf(directory + parent, sizeof(directory) - parent, "/kineto-%d", getpid());
  if (length <= 0 || parent + static_cast<size_t>(length) > kMaxDirectory || !MakePrivate(directory)) {
    return false;
  }
  directory_pid = getpid();
  std::snprintf(settings, sizeof(settings), "%s/kineto.conf", directory);
  const int file = open(settings, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
  const bool is_written = file >= 0 && write(file, kSettings, sizeof(kSettings) - 1) == sizeof(kSettings) - 1;
  close(file);
  if (!is_written) {
    RemoveDirectory();
  }
  return is_written;
}

// --- The environment

// Puts variables in front of the environment, without setenv, which frees what a getenv of another thread may be
// reading: such a one sees the environment as it was or as it is, and both stay, for good. Kineto reads two of them
// whenever it asks. The first ones are there until Hide(): they are not for the processes that the job starts.
class Environment {
 public:
  static constexpr size_t kVariables = 4;
  static constexpr size_t kHidden = 2;

  // False: no memory, for a variable neither.
  bool Add(char* const (&variables)[kVariables]) {
    if (std::find(std::begin(variables), std::end(variables), nullptr) != std::end(variables)) {
      return false;
    }
    char** const old = __atomic_load_n(&environ, __ATOMIC_ACQUIRE);
    size_t count = 0;
    while (old != nullptr && old[count] != nullptr) {
      ++count;
    }
    all_ = static_cast<char**>(std::calloc(kVariables + count + 1, sizeof(char*)));
    if (all_ == nullptr) {
      return false;
    }
    std::memcpy(all_, variables, sizeof(variables));
    if (count > 0) {
      std::memcpy(all_ + kVariables, old, count * sizeof(char*));
    }
    __atomic_store_n(&environ, all_, __ATOMIC_RELEASE);
    return true;
  }

  // Unless somebody has made an environment of his own meanwhile.
  void Hide() {
    char** expected = all_;
    __atomic_compare_exchange_n(&environ, &expected, all_ + kHidden, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
  }

 private:
  char** all_ = nullptr;
};

// NAME=value, never freed; null: no memory.
char* Variable(const char* name, const char* value) {
  char* text = nullptr;
  return asprintf(&text, "%s=%s", name, value) < 0 ? nullptr : text;
}

// Why it has not begun; null: it has.
const char* Begin() {
  Kineto kineto{};
  if (!FindKineto(&kineto)) {
    return "its PyTorch is not a torch 2.11, the one that this was tried with; start it with KINETO_USE_DAEMON=1";
  }
  if (HasProfiler(kineto)) {
    return "torch.profiler was already used in it; a second libkineto_init would crash it";
  }
  char settings[sizeof(directory) + 16];
  if (!MakeDirectory(settings)) {
    return "there is no directory of its user's alone, with a short path, in which it could ask";
  }
  // Above every level: it would say on the job's stderr, whenever it asks, that nobody is there.
  char* const variables[] = {Variable("KINETO_USE_DAEMON", "1"), Variable("KINETO_LOG_LEVEL", "5"),
                             Variable("KINETO_IPC_SOCKET_DIR", directory), Variable("KINETO_CONFIG", settings)};
  Environment environment;
  if (!environment.Add(variables)) {
    RemoveDirectory();
    return "no memory";
  }
  try {
    kineto.init();
  } catch (...) {  // looked at below
  }
  environment.Hide();
  if (!HasProfiler(kineto)) {
    RemoveDirectory();
    return "PyTorch's profiler did not begin in it";
  }
  std::atexit(RemoveDirectory);
  return nullptr;
}

}  // namespace

size_t StartKineto(char (&answer)[record::kMaxKinetoAnswerBytes]) noexcept {
  static bool has_begun = false;
  const char* const refusal = has_begun && directory_pid == getpid() ? nullptr : Begin();
  has_begun = has_begun || refusal == nullptr;
  const int length = refusal == nullptr ? std::snprintf(answer, sizeof(answer), "%s", directory)
                                        : std::snprintf(answer, sizeof(answer), "%c%s", record::kRefusalMark, refusal);
  return static_cast<size_t>(length);
}

}  // namespace dsocr::agent
