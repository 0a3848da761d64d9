// The daemon's part of a session, by hand: what a test says to the shipped agent, and what it hears.
#ifndef DSOCR_TESTS_CUPTI_AGENT_SESSION_DAEMON_H_
#define DSOCR_TESTS_CUPTI_AGENT_SESSION_DAEMON_H_

#include <dirent.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cupti/record/message.h"
#include "cupti/record/record.h"
#include "cupti/record/ring.h"

namespace dsocr::agent {

// True as soon as `condition` is; false after a time that only a fault takes.
template <typename Condition>
bool Await(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) {
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

// What a process has of what a session takes.
struct Holdings {
  size_t descriptors = 0;
  size_t threads = 0;
  size_t mappings = 0;
  size_t resident_bytes = 0;

  static Holdings OfThisProcess() {
    Holdings holdings;
    holdings.descriptors = Entries("/proc/self/fd");
    holdings.threads = Entries("/proc/self/task");
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      ++holdings.mappings;
    }
    std::ifstream statm("/proc/self/statm");
    size_t total = 0;
    statm >> total >> holdings.resident_bytes;
    holdings.resident_bytes *= static_cast<size_t>(sysconf(_SC_PAGESIZE));
    return holdings;
  }

 private:
  static size_t Entries(const char* path) {
    size_t count = 0;
    DIR* const directory = opendir(path);
    while (readdir(directory) != nullptr) {
      ++count;
    }
    closedir(directory);
    return count;
  }
};

class SessionDaemon {
 public:
  // Takes the connected socket.
  explicit SessionDaemon(int socket) : socket_(socket) {}
  SessionDaemon(const SessionDaemon&) = delete;
  SessionDaemon& operator=(const SessionDaemon&) = delete;
  ~SessionDaemon() {
    Close();
    if (ring_ != nullptr) {
      munmap(ring_, ring_bytes_);
    }
  }

  // Connected to the socket of a process that listens; its socket is -1 where nobody does.
  static int Connect(const std::string& path) {
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
      return fd;
    }
    close(fd);
    return -1;
  }

  // The agent's hello, and its ring. False: it closed instead.
  bool ReceiveHello() {
    iovec data{&hello_, sizeof(hello_)};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    const ssize_t size = recvmsg(socket_, &message, MSG_CMSG_CLOEXEC);
    const cmsghdr* const header = CMSG_FIRSTHDR(&message);
    record::Hello parsed{};
    if (size <= 0 || header == nullptr || !record::ParseHello(&hello_, static_cast<size_t>(size), &parsed)) {
      return false;
    }
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    struct stat status {};
    fstat(fd, &status);
    ring_bytes_ = static_cast<size_t>(status.st_size);
    ring_ = mmap(nullptr, ring_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return ring_ != MAP_FAILED && record::RingReader::Open(ring_, ring_bytes_, &reader_);
  }

  bool Send(record::Opcode opcode, uint32_t budget_ppm = 0) {
    const record::Control control = record::MakeControl(opcode, budget_ppm);
    return SendBytes(&control, sizeof(control));
  }
  bool SendBytes(const void* bytes, size_t size) {
    return send(socket_, bytes, size, MSG_NOSIGNAL) == static_cast<ssize_t>(size);
  }

  // Hello and welcome.
  bool Begin(uint32_t budget_ppm = 0) { return ReceiveHello() && Send(record::Opcode::kWelcome, budget_ppm); }

  // The agent is done: its end is closed. Reads on meanwhile.
  bool End() {
    Send(record::Opcode::kDetach);
    return AwaitClosed();
  }
  bool AwaitClosed() {
    return Await([this] {
      Read();
      char byte;
      return recv(socket_, &byte, 1, MSG_DONTWAIT) == 0;
    });
  }

  void Close() {
    if (socket_ >= 0) {
      close(std::exchange(socket_, -1));
    }
  }

  // Takes what has come; of more that comes meanwhile, as much as a ring holds.
  void Read() {
    record::Record records[1024];
    size_t count = 0;
    for (size_t taken = 0; taken < record::kDefaultRingSlots; taken += count) {
      count = reader_.Read(records, std::size(records));
      for (size_t i = 0; i < count; ++i) {
        ++counts_[static_cast<size_t>(records[i].kind)];
        last_[static_cast<size_t>(records[i].kind)] = records[i];
      }
      if (count == 0) {
        return;
      }
    }
  }

  // Records of this kind so far.
  uint64_t Count(record::Kind kind) {
    Read();
    return counts_[static_cast<size_t>(kind)];
  }
  // The last one of this kind; zeros: there was none.
  const record::Record& Last(record::Kind kind) const { return last_[static_cast<size_t>(kind)]; }

  bool AwaitRecords(record::Kind kind, uint64_t more = 1) {
    const uint64_t before = Count(kind);
    return Await([&] { return Count(kind) >= before + more; });
  }

  const record::Hello& hello() const { return hello_; }
  int socket_fd() const { return socket_; }

 private:
  int socket_;
  record::Hello hello_{};
  void* ring_ = nullptr;
  size_t ring_bytes_ = 0;
  record::RingReader reader_;
  uint64_t counts_[record::kLastKind + 1]{};
  record::Record last_[record::kLastKind + 1]{};
};

}  // namespace dsocr::agent

#endif  // DSOCR_TESTS_CUPTI_AGENT_SESSION_DAEMON_H_
