#include "daemon/attach/prepared.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <set>
#include <string_view>
#include <system_error>

#include "daemon/attach/proc.h"
#include "fmt/format.h"

namespace dsocr::attach {
namespace {

constexpr std::string_view kSocketName = "agent-";  // and a pid, in the pid namespace of the process
constexpr size_t kMaxSocketDescriptors = 1 << 16;
constexpr unsigned kListening = 1 << 16;  // __SO_ACCEPTCON

// The inodes of the sockets that the process holds.
std::set<uint64_t> SocketsOf(pid_t pid) {
  constexpr std::string_view kPrefix = "socket:[";
  std::set<uint64_t> inodes;
  for (const int fd : ListNumbers(ProcPath(pid, "fd"), kMaxSocketDescriptors)) {
    const std::string target = ReadLink(ProcPath(pid, fmt::format("fd/{}", fd)));
    uint64_t inode = 0;
    if (target.starts_with(kPrefix) &&
        std::from_chars(target.data() + kPrefix.size(), target.data() + target.size(), inode).ec == std::errc()) {
      inodes.insert(inode);
    }
  }
  return inodes;
}

bool IsAgentSocket(std::string_view path) {
  const std::string_view name = BaseName(path);
  return path.starts_with('/') && name.starts_with(kSocketName) &&
         name.find_first_not_of("0123456789", kSocketName.size()) == std::string_view::npos &&
         name.size() > kSocketName.size();
}

}  // namespace

std::string FindAgentSocket(pid_t pid) {
  const std::set<uint64_t> held = SocketsOf(pid);
  std::ifstream table(ProcPath(pid, "net/unix"));
  for (std::string line; !held.empty() && std::getline(table, line);) {
    unsigned flags = 0;
    unsigned type = 0;
    unsigned long inode = 0;
    int path_at = 0;
    if (std::sscanf(line.c_str(), "%*s %*x %*x %x %x %*x %lu %n", &flags, &type, &inode, &path_at) != 3 ||
        path_at == 0) {
      continue;
    }
    const std::string path = line.substr(std::min(line.size(), static_cast<size_t>(path_at)));
    if ((flags & kListening) != 0 && type == SOCK_SEQPACKET && held.contains(inode) && IsAgentSocket(path)) {
      return path;
    }
  }
  return "";
}

absl::StatusOr<UniqueFd> ConnectToAgent(pid_t pid, uid_t uid) {
  const auto failed = [pid](std::string_view why) {
    return absl::FailedPreconditionError(fmt::format("agent in {}: {}", pid, why));
  };
  const std::string path = FindAgentSocket(pid);
  if (path.empty()) {
    return failed("none listens");
  }
  // By descriptor: its path in our namespace may be longer than a socket's address can be.
  const UniqueFd place(open(ProcPath(pid, "root" + path).c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (!place.valid() || fstat(place.get(), &status) != 0 || !S_ISSOCK(status.st_mode) || status.st_uid != uid) {
    return failed(fmt::format("'{}' is not its socket any more", path));
  }
  UniqueFd connected(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  fmt::format_to_n(address.sun_path, sizeof(address.sun_path) - 1, "/proc/self/fd/{}", place.get());
  if (connect(connected.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return failed(errno == EAGAIN ? "it serves another daemon; detach that one first" : std::strerror(errno));
  }
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (getsockopt(connected.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.pid != pid || peer.uid != uid) {
    return failed("somebody else answers on its socket");
  }
  return connected;
}

}  // namespace dsocr::attach
