// Jobs for the tests of attach. Each says "ready", with what the test must know, when it is as its name says.
//
// usage: attach_job NAME [ARGUMENT…]
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

void Say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

[[noreturn]] void Sleep() {
  while (true) {
    pause();
  }
}

// Memory that is taken and given back on every page of the allocator, for ever, without a system call.
[[noreturn]] void Allocate() {
  for (size_t i = 0;; ++i) {
    void* volatile memory = std::malloc(16 + (i * 37) % 4000);
    std::free(memory);
  }
}

void Threads(int, char**) {
  for (int i = 0; i < 3; ++i) {
    std::thread(Sleep).detach();
  }
  Say("ready");
  Sleep();
}

void Busy(int, char**) {
  std::thread(Sleep).detach();
  Say("ready");
  Allocate();
}

void Alone(int, char**) {
  Say("ready");
  Allocate();
}

// One interrupted call on the only thread: says what it gave, and whether it was too short.
void Call(int count, char** arguments) {
  const std::string name = count > 0 ? arguments[0] : "";
  const int milliseconds = count > 1 ? std::atoi(arguments[1]) : 0;
  Say("ready");
  const auto begin = std::chrono::steady_clock::now();
  errno = 0;
  int result = -2;
  if (name == "poll") {
    result = poll(nullptr, 0, milliseconds);
  } else if (name == "epoll") {
    epoll_event event;
    result = epoll_wait(epoll_create1(0), &event, 1, milliseconds);
  } else if (name == "nanosleep") {
    const timespec time{milliseconds / 1000, milliseconds % 1000 * 1000000L};
    result = nanosleep(&time, nullptr);
  } else if (name == "futex") {
    std::mutex mutex;
    std::condition_variable condition;
    std::unique_lock lock(mutex);
    result = condition.wait_for(lock, std::chrono::milliseconds(milliseconds)) == std::cv_status::timeout ? 0 : 1;
  } else if (name == "read") {
    char letter = 0;
    result = static_cast<int>(read(STDIN_FILENO, &letter, 1));
  }
  const int error = errno;
  const auto took = std::chrono::steady_clock::now() - begin;
  Say(std::to_string(result) + " " + std::strerror(error) +
      (took < std::chrono::milliseconds(milliseconds) ? " too early" : ""));
}

volatile sig_atomic_t signals = 0;
volatile sig_atomic_t sum = 0;

// Counts what it is sent; says so after each letter on its input.
void Signals(int, char**) {
  struct sigaction action {};
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  action.sa_sigaction = [](int, siginfo_t* info, void*) {
    signals = signals + 1;
    sum = sum + info->si_value.sival_int;
  };
  sigaction(SIGRTMIN, &action, nullptr);
  Say("ready");
  for (char letter; read(STDIN_FILENO, &letter, 1) == 1;) {
    Say(std::to_string(signals) + " " + std::to_string(sum));
  }
}

void Hidden(int, char**) {
  prctl(PR_SET_DUMPABLE, 0);
  Say("ready");
  Sleep();
}

// The process of interest is a child: its number is said.
void Zombie(int, char**) {
  const pid_t child = fork();
  if (child == 0) {
    _exit(0);
  }
  siginfo_t info;
  waitid(P_PID, child, &info, WEXITED | WNOWAIT);
  Say("ready " + std::to_string(child));
  Sleep();
}

void Traced(int, char**) {
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {  // it was gone before this was said
      _exit(0);
    }
    Sleep();
  }
  ptrace(PTRACE_SEIZE, child, nullptr, nullptr);
  Say("ready " + std::to_string(child));
  Sleep();
}

void Stopped(int, char**) {
  Say("ready");
  raise(SIGSTOP);
  Sleep();
}

}  // namespace

int main(int count, char** arguments) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const std::map<std::string, void (*)(int, char**)> jobs = {
      {"threads", Threads}, {"busy", Busy},     {"alone", Alone},   {"call", Call},      {"signals", Signals},
      {"hidden", Hidden},   {"zombie", Zombie}, {"traced", Traced}, {"stopped", Stopped}};
  const auto job = jobs.find(count > 1 ? arguments[1] : "");
  if (job == jobs.end()) {
    return 2;
  }
  job->second(count - 2, arguments + 2);
  return 0;
}
