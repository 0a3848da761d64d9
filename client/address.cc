#include "client/address.h"

#include <arpa/inet.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <charconv>
#include <cstdint>
#include <string_view>

#include "base/status.h"
#include "fmt/format.h"

namespace dsocr::client {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";

bool IsDirectoryOf(const std::string& path, uid_t uid) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == uid;
}

// An empty or relative directory variable counts as unset (XDG Base Directory Specification 0.8, "Environment
// variables").
std::string DirectoryVariable(const Io& io, const std::string& name) {
  const std::string value = io.Env(name).value_or("");
  return value.starts_with('/') ? value : "";
}

std::string DefaultSocketDir(const Io& io) {
  if (const std::string runtime = DirectoryVariable(io, "XDG_RUNTIME_DIR"); !runtime.empty()) {
    return runtime + "/dsocr";
  }
  const std::string runtime = fmt::format("/run/user/{}", io.uid);
  return IsDirectoryOf(runtime, io.uid) ? runtime + "/dsocr" : fmt::format("/tmp/dsocr-{}", io.uid);
}

// Anybody may have made a directory in /tmp first: a socket in it would be theirs.
absl::Status CheckOwnDirectory(const std::string& dir, uid_t uid) {
  struct stat status;
  if (::lstat(dir.c_str(), &status) != 0) {
    return absl::OkStatus();  // not there yet
  }
  constexpr mode_t kWritableByOthers = S_IWGRP | S_IWOTH;
  if (!S_ISDIR(status.st_mode) || status.st_uid != uid || (status.st_mode & kWritableByOthers) != 0) {
    return absl::PermissionDeniedError(fmt::format(
        "socket directory '{}': not a directory that only you can write in; remove it, or choose another with --server",
        dir));
  }
  return absl::OkStatus();
}

// Literal IP addresses go to gRPC in a scheme that asks no resolver.
std::string TcpTarget(const std::string& host, const std::string& port) {
  in_addr v4;
  in6_addr v6;
  const bool has_brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) {
    return fmt::format("ipv4:{}:{}", host, port);
  }
  if (has_brackets && ::inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &v6) == 1) {
    return fmt::format("ipv6:{}:{}", host, port);
  }
  return fmt::format("dns:///{}:{}", host, port);
}

absl::StatusOr<Address> ParseAddress(const std::string& text, const Io& io) {
  Address address;
  if (text.starts_with(kUnixPrefix)) {
    address.socket_path = AbsolutePath(io, text.substr(kUnixPrefix.size()));
    if (text.size() == kUnixPrefix.size() || address.socket_path.size() >= sizeof(sockaddr_un::sun_path)) {
      return absl::InvalidArgumentError(fmt::format("server '{}': a socket path has 1 to {} bytes; give unix:PATH",
                                                    text, sizeof(sockaddr_un::sun_path) - 1));
    }
    address.text = address.target = fmt::format("{}{}", kUnixPrefix, address.socket_path);
    return address;
  }
  const size_t colon = text.rfind(':');
  uint16_t port = 0;
  const std::string digits = colon == std::string::npos ? "" : text.substr(colon + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (colon == std::string::npos || colon == 0 || error != std::errc() || end != digits.data() + digits.size() ||
      port == 0) {
    return absl::InvalidArgumentError(fmt::format("server '{}': not an address; give unix:PATH or HOST:PORT", text));
  }
  address.text = text;
  address.target = TcpTarget(text.substr(0, colon), digits);
  return address;
}

}  // namespace

absl::StatusOr<Address> ResolveAddress(const CommandLine& line, const Io& io) {
  if (line.Has("--server")) {
    return ParseAddress(line.Text("--server"), io);
  }
  if (const std::optional<std::string> variable = io.Env("DSOCR_SERVER")) {
    return ParseAddress(*variable, io);
  }
  const std::string dir = DefaultSocketDir(io);
  DSOCR_RETURN_IF_ERROR(CheckOwnDirectory(dir, io.uid));
  DSOCR_ASSIGN_OR_RETURN(Address address, ParseAddress(fmt::format("unix:{}/dsocrd.sock", dir), io));
  address.may_be_started = true;
  return address;
}

std::string StateDir(const Io& io) {
  if (const std::string state = DirectoryVariable(io, "XDG_STATE_HOME"); !state.empty()) {
    return state + "/dsocr";
  }
  if (const std::string home = DirectoryVariable(io, "HOME"); !home.empty()) {
    return home + "/.local/state/dsocr";
  }
  return fmt::format("/tmp/dsocr-{}/state", io.uid);
}

}  // namespace dsocr::client
