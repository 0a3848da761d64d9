#include "daemon/attach/injector.h"

#include <sys/resource.h>
#include <sys/socket.h>

#include <string>

#include "cupti/record/message.h"
#include "daemon/attach/proc.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/daemon/attach/job.h"

namespace dsocr::attach {
namespace {

// What the agent at the other end makes of a packet; empty: it is not there.
std::string Exchange(const UniqueFd& socket, const std::string& packet) {
  char answer[2048];
  const timeval patience{30, 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  if (::send(socket.get(), packet.data(), packet.size(), MSG_NOSIGNAL) < 0) {
    return {};
  }
  const ssize_t size = ::recv(socket.get(), answer, sizeof(answer), 0);
  return size > 0 ? std::string(answer, size) : std::string();
}

// What an attach could leave behind.
struct Footprint {
  size_t mappings = 0;
  size_t descriptors = 0;
  size_t threads = 0;
  bool operator==(const Footprint&) const = default;
};
Footprint FootprintOf(pid_t pid) {
  return {ReadMappings(pid).size(), ListNumbers(ProcPath(pid, "fd"), 10000).size(),
          ListNumbers(ProcPath(pid, "task"), 10000).size()};
}

absl::StatusOr<UniqueFd> InjectInto(pid_t pid, const std::string& agent = DSOCR_TEST_AGENT) {
  absl::StatusOr<Target> target = Inspect(pid);
  if (!target.ok()) {
    return target.status();
  }
  if (absl::Status may = CheckMayTrace(*target); !may.ok()) {
    return may;
  }
  return Inject(*target, agent);
}

#ifdef DSOCR_IS_ROOT
std::vector<int> ChildrenOf(pid_t pid) {
  std::vector<int> children;
  for (const Target& process : ListProcesses()) {
    if (process.parent == pid) {
      children.push_back(process.pid);
    }
  }
  return children;
}
#endif

TEST(InjectorTest, AnswersFromAProcessWhoseThreadsSleep) {
  Job job({DSOCR_ATTACH_JOB, "threads"});
  ASSERT_EQ(job.ReadLine(), "ready");
  const auto socket = InjectInto(job.pid());
  ASSERT_TRUE(socket.ok()) << socket.status();
  EXPECT_EQ(Exchange(*socket, "hello"), "hello");
}

TEST(InjectorTest, LeavesNothingBehindButTheAgent) {
  Job job({DSOCR_ATTACH_JOB, "threads"});
  ASSERT_EQ(job.ReadLine(), "ready");
  const Footprint untouched = FootprintOf(job.pid());
  Footprint first;
  for (int i = 0; i < 5; ++i) {
    auto socket = InjectInto(job.pid());
    ASSERT_TRUE(socket.ok()) << socket.status();
    EXPECT_EQ(Exchange(*socket, "hello"), "hello");
    socket->reset();
    EXPECT_TRUE(Eventually([&] { return FootprintOf(job.pid()).threads == untouched.threads; }));
    EXPECT_EQ(FootprintOf(job.pid()).descriptors, untouched.descriptors);
    if (i == 0) {
      first = FootprintOf(job.pid());  // the agent, and the memory that libc gave its first thread
    }
    EXPECT_EQ(FootprintOf(job.pid()).mappings, first.mappings) << "attach " << i;
  }
}

TEST(InjectorTest, DoesNotHangAProcessThatDoesNothingButAllocate) {
  Job job({DSOCR_ATTACH_JOB, "busy"});
  ASSERT_EQ(job.ReadLine(), "ready");
  for (int i = 0; i < 3; ++i) {
    const auto socket = InjectInto(job.pid());
    ASSERT_TRUE(socket.ok()) << socket.status();
    EXPECT_EQ(Exchange(*socket, "hello"), "hello");
  }
}

TEST(InjectorTest, RefusesAProcessThatIsNeverAtRest) {
  Job job({DSOCR_ATTACH_JOB, "alone"});
  ASSERT_EQ(job.ReadLine(), "ready");
  const auto socket = InjectInto(job.pid());
  EXPECT_TRUE(absl::IsFailedPrecondition(socket.status())) << socket.status();
  EXPECT_THAT(std::string(socket.status().message()),
              testing::HasSubstr("no thread at a safe point within 2 s; retry"));
}

// The only thread is stopped in the call, which must give what it would have given.
class InterruptedCallTest : public testing::TestWithParam<const char*> {};

TEST_P(InterruptedCallTest, EndsAsItWouldHave) {
  Job job({DSOCR_ATTACH_JOB, "call", GetParam(), "700"});
  ASSERT_EQ(job.ReadLine(), "ready");
  for (int i = 0; i < 2; ++i) {
    const auto socket = InjectInto(job.pid());
    ASSERT_TRUE(socket.ok()) << socket.status();
    EXPECT_EQ(Exchange(*socket, "hello"), "hello");
  }
  EXPECT_EQ(job.ReadLine(), "0 Success");
}

INSTANTIATE_TEST_SUITE_P(OfEveryKind, InterruptedCallTest, testing::Values("poll", "epoll", "nanosleep", "futex"),
                         [](const auto& test) { return std::string(test.param); });

TEST(InjectorTest, DoesNotDisturbAReadFromAPipe) {
  Job job({DSOCR_ATTACH_JOB, "call", "read"});
  ASSERT_EQ(job.ReadLine(), "ready");
  const auto socket = InjectInto(job.pid());
  ASSERT_TRUE(socket.ok()) << socket.status();
  EXPECT_EQ(Exchange(*socket, "hello"), "hello");
  job.Write("x");
  EXPECT_EQ(job.ReadLine(), "1 Success");
}

TEST(InjectorTest, LosesNoSignalAndNothingThatCameWithIt) {
  Job job({DSOCR_ATTACH_JOB, "signals"});
  ASSERT_EQ(job.ReadLine(), "ready");
  constexpr int kSignals = 2000;
  std::thread sender([&] {
    for (int i = 1; i <= kSignals; ++i) {
      while (::sigqueue(job.pid(), SIGRTMIN, sigval{.sival_int = i}) != 0) {
        std::this_thread::yield();  // its queue is full
      }
    }
  });
  for (int i = 0; i < 5; ++i) {
    const auto socket = InjectInto(job.pid());
    EXPECT_TRUE(socket.ok()) << socket.status();
    EXPECT_TRUE(!socket.ok() || Exchange(*socket, "hello") == "hello");
  }
  sender.join();
  EXPECT_TRUE(Eventually([&] {
    job.Write("?");
    return job.ReadLine() == "2000 2001000";
  }));
}

TEST(InjectorTest, LetsAJobStopThatIsStoppedMeanwhile) {
  Job job({DSOCR_ATTACH_JOB, "threads"});
  ASSERT_EQ(job.ReadLine(), "ready");
  std::thread stopper([&] {
    for (int i = 0; i < 50; ++i) {
      ::kill(job.pid(), SIGSTOP);
      ::kill(job.pid(), SIGCONT);
    }
    ::kill(job.pid(), SIGSTOP);
  });
  const auto target = Inspect(job.pid());
  ASSERT_TRUE(target.ok());
  const auto socket = Inject(*target, DSOCR_TEST_AGENT);
  stopper.join();
  ASSERT_TRUE(socket.ok()) << socket.status();
  EXPECT_TRUE(Eventually([&] { return Inspect(job.pid())->state == 'T'; }));
  ::kill(job.pid(), SIGCONT);
  EXPECT_EQ(Exchange(*socket, "hello"), "hello");
}

TEST(InjectorTest, RefusesAnotherBuildOfTheAgent) {
  Job job({DSOCR_ATTACH_JOB, "threads"});
  ASSERT_EQ(job.ReadLine(), "ready");
  const auto socket = InjectInto(job.pid());
  ASSERT_TRUE(socket.ok()) << socket.status();
  EXPECT_EQ(Exchange(*socket, "hello"), "hello");
  const auto other = InjectInto(job.pid(), DSOCR_OTHER_TEST_AGENT);
  EXPECT_TRUE(absl::IsFailedPrecondition(other.status())) << other.status();
  EXPECT_THAT(std::string(other.status().message()), testing::HasSubstr("another build of the agent"));
}

TEST(InjectorTest, TellsWhyAnAgentCannotBeLoaded) {
  Job job({DSOCR_ATTACH_JOB, "threads"});
  ASSERT_EQ(job.ReadLine(), "ready");
  const Footprint untouched = FootprintOf(job.pid());
  const auto target = Inspect(job.pid());
  ASSERT_TRUE(target.ok());
  const auto socket = Inject(*target, DSOCR_ATTACH_JOB);  // a program, which dlopen refuses
  ASSERT_TRUE(socket.ok()) << socket.status();
  char packet[2048];
  const ssize_t size = ::recv(socket->get(), packet, sizeof(packet), 0);
  ASSERT_GT(size, 0);
  EXPECT_EQ(packet[0], record::kRefusalMark);
  EXPECT_THAT(std::string(packet, static_cast<size_t>(size)), testing::HasSubstr("cannot dynamically load"));
  EXPECT_EQ(::recv(socket->get(), packet, sizeof(packet), 0), 0);
  EXPECT_TRUE(Eventually([&] { return FootprintOf(job.pid()).threads == untouched.threads; }));
  EXPECT_EQ(FootprintOf(job.pid()).descriptors, untouched.descriptors);
}

TEST(InjectorTest, RefusesAnAgentThatIsNotThere) {
  Job job({DSOCR_ATTACH_JOB, "threads"});
  ASSERT_EQ(job.ReadLine(), "ready");
  const auto socket = InjectInto(job.pid(), "/nowhere/libdsocr_agent.so");
  EXPECT_TRUE(absl::IsFailedPrecondition(socket.status())) << socket.status();
}

TEST(InjectorTest, TellsWhatTheJobMayNotMakeAndUndoesTheRest) {
  Job job({DSOCR_ATTACH_JOB, "threads"});
  ASSERT_EQ(job.ReadLine(), "ready");
  const Footprint untouched = FootprintOf(job.pid());

  rlimit before;
  ASSERT_EQ(::prlimit(job.pid(), RLIMIT_NOFILE, nullptr, &before), 0);
  const rlimit none{3, before.rlim_max};
  ASSERT_EQ(::prlimit(job.pid(), RLIMIT_NOFILE, &none, nullptr), 0);
  const auto without_descriptors = InjectInto(job.pid());
  EXPECT_TRUE(absl::IsFailedPrecondition(without_descriptors.status())) << without_descriptors.status();
  EXPECT_THAT(std::string(without_descriptors.status().message()),
              testing::HasSubstr("socketpair fails in it: Too many open files"));
  EXPECT_EQ(FootprintOf(job.pid()), untouched);

  ASSERT_EQ(::prlimit(job.pid(), RLIMIT_NOFILE, &before, nullptr), 0);
  const std::vector<Mapping> mappings = ReadMappings(job.pid());
  uint64_t bytes = 64 << 10;  // room for a page, but not for a stack
  for (const Mapping& mapping : mappings) {
    bytes += mapping.end - mapping.begin;
  }
  const rlimit little{bytes, RLIM_INFINITY};
  ASSERT_EQ(::prlimit(job.pid(), RLIMIT_AS, &little, nullptr), 0);
  const auto without_memory = InjectInto(job.pid());
  EXPECT_TRUE(absl::IsFailedPrecondition(without_memory.status())) << without_memory.status();
  EXPECT_THAT(std::string(without_memory.status().message()), testing::HasSubstr("pthread_create fails in it"));
  EXPECT_EQ(FootprintOf(job.pid()), untouched);
}

TEST(InjectorTest, WorksTwiceAtATime) {
  Job job({DSOCR_ATTACH_JOB, "threads"});
  ASSERT_EQ(job.ReadLine(), "ready");
  const auto exchange = [&](std::string* answer) {
    const auto target = Inspect(job.pid());
    const auto socket = target.ok() ? Inject(*target, DSOCR_TEST_AGENT) : target.status();
    *answer = socket.ok() ? Exchange(*socket, "hello") : std::string(socket.status().message());
  };
  std::string first;
  std::string second;
  std::thread other([&] { exchange(&second); });
  exchange(&first);
  other.join();
  EXPECT_EQ(first, "hello");
  EXPECT_EQ(second, "hello");
}

// Whoever injects is killed while it holds the job's thread.
TEST(InjectorTest, AnInjectorThatIsKilledDoesTheJobNoHarm) {
  Job job({DSOCR_ATTACH_JOB, "threads"});
  ASSERT_EQ(job.ReadLine(), "ready");
  const Footprint untouched = FootprintOf(job.pid());
  const auto target = Inspect(job.pid());
  ASSERT_TRUE(target.ok()) << target.status();
  const auto is_traced = [&] {
    for (const int thread : ListNumbers(ProcPath(job.pid(), "task"), 10000)) {
      const auto status = ReadFile(ProcPath(job.pid(), "task/" + std::to_string(thread) + "/status"), 4096);
      if (status && status->find("TracerPid:\t0\n") == std::string::npos) {
        return true;
      }
    }
    return false;
  };
  int kills = 0;
  for (int i = 0; i < 5; ++i) {
    const pid_t injector = ::fork();
    if (injector == 0) {
      const auto socket = Inject(*target, DSOCR_TEST_AGENT);
      ::_exit(socket.ok() ? 0 : 1);
    }
    int status = 0;
    pid_t ended = 0;
    while (!is_traced() && ended == 0) {
      ended = ::waitpid(injector, &status, WNOHANG);
    }
    ::kill(injector, SIGKILL);
    kills += ended == 0 && ::waitpid(injector, &status, 0) == injector && WIFSIGNALED(status) ? 1 : 0;
    EXPECT_TRUE(Eventually([&] { return !is_traced() && FootprintOf(job.pid()).threads == untouched.threads; }));
  }
  EXPECT_GT(kills, 0);
  EXPECT_EQ(FootprintOf(job.pid()).descriptors, untouched.descriptors);
  const auto socket = InjectInto(job.pid());
  ASSERT_TRUE(socket.ok()) << socket.status();
  EXPECT_EQ(Exchange(*socket, "hello"), "hello");
}

TEST(InjectorTest, ComesToAnEndWhereTheJobDies) {
  for (int i = 0; i < 20; ++i) {
    Job job({DSOCR_ATTACH_JOB, "threads"});
    ASSERT_EQ(job.ReadLine(), "ready");
    const auto target = Inspect(job.pid());
    ASSERT_TRUE(target.ok()) << target.status();
    std::thread killer([&] {
      absl::SleepFor(absl::Microseconds(100 * i));  // some moment of the injection, another each time
      ::kill(job.pid(), SIGKILL);
    });
    const auto socket = Inject(*target, DSOCR_TEST_AGENT);
    killer.join();
    EXPECT_TRUE(socket.ok() || absl::IsFailedPrecondition(socket.status())) << socket.status();
    if (socket.ok()) {
      Exchange(*socket, "hello");  // an answer or the end, but no hang
    }
  }
}

#ifdef DSOCR_IS_ROOT  // the namespaces need it

TEST(InjectorTest, ReachesIntoNamespacesWhereTheAgentIsNotVisible) {
  // The job runs with a pid of its own, and with a tmpfs over everything that was built.
  Job job({"unshare", "-m", "-p", "-f", "--kill-child", "--mount-proc", "sh", "-c",
           std::string("exec 9< ") + DSOCR_ATTACH_JOB + "; mount -t tmpfs none " + DSOCR_TESTS_DIR +
               "; exec /proc/self/fd/9 threads"});
  ASSERT_EQ(job.ReadLine(), "ready");
  const std::vector<int> children = ChildrenOf(job.pid());
  ASSERT_EQ(children.size(), 1U);
  const auto target = Inspect(children[0]);
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_FALSE(target->same_mount_namespace);
  EXPECT_EQ(target->inner_pid, 1);
  const Footprint untouched = FootprintOf(children[0]);
  for (int i = 0; i < 2; ++i) {
    auto socket = InjectInto(children[0]);
    ASSERT_TRUE(socket.ok()) << socket.status();
    EXPECT_EQ(Exchange(*socket, "hello"), "hello");
    socket->reset();
    EXPECT_TRUE(Eventually([&] { return FootprintOf(children[0]).threads == untouched.threads; }));
    EXPECT_EQ(FootprintOf(children[0]).descriptors, untouched.descriptors);
  }
  EXPECT_EQ(Inspect(children[0])->agent_path, "/memfd:libdsocr_agent.so");
}

#endif

}  // namespace
}  // namespace dsocr::attach
