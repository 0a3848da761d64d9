// A process in which Kineto's profiler would be: it asks as Kineto asks, and writes what it is told to.
#ifndef DSOCR_TESTS_DAEMON_ATTACH_FAKE_PROFILER_H_
#define DSOCR_TESTS_DAEMON_ATTACH_FAKE_PROFILER_H_

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <exception>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "base/unique_fd.h"
#include "daemon/attach/dynolog.h"
#include "daemon/attach/target.h"

namespace dsocr::attach {

// A child process that runs a function. Killed at the end of the scope.
class Child {
 public:
  explicit Child(const std::function<void()>& run) : parent_(::getpid()), pid_(::fork()) {
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent_) {  // it was gone before this was said
        ::_exit(0);
      }
      run();
      ::_exit(0);
    }
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    ::kill(pid_, SIGKILL);
    Wait();
  }

  pid_t pid() const { return pid_; }
  void Wait() { ::waitpid(std::exchange(pid_, 0), nullptr, 0); }

 private:
  const pid_t parent_;
  pid_t pid_;
};

// The client's socket. `directory`: where the names are; empty: abstract ones.
class DynologClient {
 public:
  DynologClient(const std::string& directory, const std::string& own_name)
      : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)), server_(Make(directory, std::string(kDynologName))) {
    const Address own = Make(directory, own_name);
    ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&own.name), own.bytes);
    const timeval patience{.tv_sec = 0, .tv_usec = 90'000};  // Kineto's
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  }

  bool Send(const std::string& datagram, int flags = 0) const {
    return ::sendto(socket_.get(), datagram.data(), datagram.size(), flags,
                    reinterpret_cast<const sockaddr*>(&server_.name), server_.bytes) >= 0;
  }
  std::optional<std::string> Receive() const {
    char bytes[4096];
    Address sender;
    const ssize_t received =
        ::recvfrom(socket_.get(), bytes, sizeof(bytes), 0, reinterpret_cast<sockaddr*>(&sender.name), &sender.bytes);
    if (received >= 0 && std::memcmp(&sender.name, &server_.name, sizeof(sender.name)) != 0) {
      std::terminate();  // Kineto does
    }
    return received < 0 ? std::nullopt : DecodeDynologReply({bytes, static_cast<size_t>(received)});
  }

 private:
  struct Address {
    sockaddr_un name{.sun_family = AF_UNIX, .sun_path = {}};
    socklen_t bytes = sizeof(sockaddr_un);
  };

  static Address Make(const std::string& directory, const std::string& name) {
    Address address;
    if (directory.empty()) {
      std::memcpy(address.name.sun_path + 1, name.data(), name.size());
      address.bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size() + 2);
    } else {
      const std::string path = directory + "/" + name;
      std::memcpy(address.name.sun_path, path.data(), path.size());
    }
    return address;
  }

  UniqueFd socket_;
  Address server_;
};

// What Inspect() would say of a process that Kineto is in.
inline Target KinetoTarget(pid_t pid, pid_t inner_pid, uid_t uid, std::string socket_dir) {
  return {.pid = pid,
          .pidfd = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))),
          .inner_pid = inner_pid,
          .uid = uid,
          .uses_kineto_daemon = true,
          .kineto_socket_dir = std::move(socket_dir)};
}

inline std::string Request(int32_t activities = 3) {
  return EncodeDynologRequest({.activities = activities, .pids = {static_cast<int32_t>(::getpid())}});
}

// Asks until it is told something; what it is told.
inline std::string AskForConfiguration(const std::string& directory, int32_t activities = 3) {
  const DynologClient client(directory, "dynoconfigclient" + std::to_string(::getpid()));
  for (;;) {
    if (!client.Send(Request(activities))) {
      ::usleep(1000);  // nobody is there yet
      continue;
    }
    if (const std::optional<std::string> reply = client.Receive(); reply.has_value() && !reply->empty()) {
      return *reply;
    }
  }
}

inline std::string ValueOf(const std::string& configuration, const std::string& key) {
  const size_t at = configuration.find(key + "=");
  if (at == std::string::npos) {
    return "";
  }
  const size_t value = at + key.size() + 1;
  return configuration.substr(value, configuration.find('\n', value) - value);
}

// Where Kineto writes to: /tmp/x.json becomes /tmp/x_PID.json.
inline std::string TracePath(const std::string& configuration) {
  const std::string path = ValueOf(configuration, "ACTIVITIES_LOG_FILE");
  return path.substr(0, path.rfind('.')) + "_" + std::to_string(::getpid()) + ".json";
}

// As Kineto does it: under another name first.
inline void WriteTrace(const std::string& path, const std::string& bytes) {
  std::ofstream(path + ".tmp") << bytes;
  ::rename((path + ".tmp").c_str(), path.c_str());
}

}  // namespace dsocr::attach

#endif  // DSOCR_TESTS_DAEMON_ATTACH_FAKE_PROFILER_H_
