// The shipped agent in this process, and this test as its daemon.
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nvtx3/nvToolsExt.h>
#include <sys/wait.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <list>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/cupti/agent/session_daemon.h"
#include "tests/scratch_directory.h"

namespace dsocr::agent {
namespace {

using record::Kind;
using record::Opcode;

constexpr const char* kAgent = DSOCR_BIN_DIR "/libdsocr_agent.so";

// A thread of the job, busy with ranges.
class BusyThread {
 public:
  BusyThread()
      : thread_([this] {
          while (!is_over_) {
            nvtxRangePushA("outer");
            nvtxRangePushA("inner");
            std::this_thread::yield();
            nvtxRangePop();
            nvtxRangePop();
          }
        }) {}
  ~BusyThread() {
    is_over_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> is_over_{false};
  std::thread thread_;
};

class SessionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    setenv("XDG_RUNTIME_DIR", directory_.path().c_str(), 1);
    void* const agent = dlopen(kAgent, RTLD_NOW);
    ASSERT_NE(agent, nullptr) << dlerror();
    attach_ = reinterpret_cast<int (*)(int)>(dlsym(agent, "dsocr_agent_attach"));
    listen_ = reinterpret_cast<void (*)()>(dlsym(agent, "dsocr_agent_listen"));
    ASSERT_TRUE(attach_ && listen_);
  }

  // This process has NVTX with the agent for its tool, as one that was prepared.
  void UseNvtx() {
    setenv("NVTX_INJECTION64_PATH", kAgent, 1);
    nvtxRangePushA("first");
    nvtxRangePop();
  }

  // A session that this process's agent was handed the other end of; null: it refused.
  std::unique_ptr<SessionDaemon> Attach(int* error = nullptr) {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    auto daemon = std::make_unique<SessionDaemon>(ends[0]);
    const int result = attach_(ends[1]);
    if (error != nullptr) {
      *error = result;
    }
    if (result != 0) {
      close(ends[1]);
      return nullptr;
    }
    return daemon;
  }

  std::string SocketOf(pid_t pid) const { return directory_ / ("dsocr/agent-" + std::to_string(pid)); }

  const ScratchDirectory directory_;
  int (*attach_)(int) = nullptr;
  void (*listen_)() = nullptr;
};

TEST_F(SessionTest, SaysHelloWithAnEmptyTokenAndRecordsFromTheWelcomeOn) {
  UseNvtx();
  const auto daemon = Attach();
  ASSERT_TRUE(daemon && daemon->ReceiveHello());
  EXPECT_EQ(daemon->hello().pid, getpid());
  EXPECT_EQ(std::string(daemon->hello().token, record::kTokenBytes), std::string(record::kTokenBytes, '\0'));
  const BusyThread thread;
  EXPECT_EQ(daemon->Count(Kind::kRangePush), 0u);
  ASSERT_TRUE(daemon->Send(Opcode::kWelcome));
  EXPECT_TRUE(daemon->AwaitRecords(Kind::kRangePop, 100));
  EXPECT_TRUE(daemon->AwaitRecords(Kind::kStatistics));
  EXPECT_GT(daemon->Last(Kind::kStatistics).statistics.range_record_ps, 0u);
  EXPECT_TRUE(daemon->End());
}

TEST_F(SessionTest, GivesBackWhatItTookAndComesAgain) {
  UseNvtx();
  Await([this] { return std::filesystem::exists(SocketOf(getpid())); });
  std::vector<std::unique_ptr<BusyThread>> threads;
  for (int i = 0; i < 4; ++i) {
    threads.push_back(std::make_unique<BusyThread>());
  }
  Holdings first;
  Holdings now;
  for (int cycle = 0; cycle < 20; ++cycle) {
    {
      const auto daemon = Attach();
      ASSERT_TRUE(daemon && daemon->Begin()) << cycle;
      ASSERT_TRUE(daemon->AwaitRecords(Kind::kRangePop, 1000)) << cycle;
      threads[cycle % 4] = std::make_unique<BusyThread>();  // one ends, another comes
      ASSERT_TRUE(Await([&] { return daemon->Count(Kind::kThread) >= 5; })) << cycle;
      ASSERT_TRUE(daemon->End()) << cycle;
    }
    const auto has_nothing_more = [&] {
      now = Holdings::OfThisProcess();
      return cycle < 5 || (now.descriptors <= first.descriptors && now.threads <= first.threads &&
                           now.mappings <= first.mappings && now.resident_bytes <= first.resident_bytes + (1 << 20));
    };
    EXPECT_TRUE(Await(has_nothing_more)) << cycle << ": " << now.descriptors << " descriptors of " << first.descriptors
                                         << ", " << now.threads << " threads of " << first.threads << ", "
                                         << now.mappings << " mappings of " << first.mappings << ", "
                                         << now.resident_bytes << " bytes of " << first.resident_bytes;
    if (cycle < 5) {
      first = now;
    }
  }
}

TEST_F(SessionTest, IsOneAtATime) {
  const auto daemon = Attach();
  ASSERT_TRUE(daemon && daemon->Begin());
  int error = 0;
  EXPECT_EQ(Attach(&error), nullptr);
  EXPECT_EQ(error, EBUSY);
  EXPECT_TRUE(daemon->End());
  EXPECT_NE(Attach(&error), nullptr);
}

TEST_F(SessionTest, WantsASocketOfPackets) {
  EXPECT_EQ(attach_(-1), ENOTSOCK);
  EXPECT_EQ(attach_(STDERR_FILENO), ENOTSOCK);
}

TEST_F(SessionTest, EndsWhenTheDaemonIsGone) {
  UseNvtx();
  const BusyThread thread;
  auto daemon = Attach();
  ASSERT_TRUE(daemon && daemon->Begin());
  ASSERT_TRUE(daemon->AwaitRecords(Kind::kRangePop));
  daemon->Close();
  // The next one is welcome as soon as the last one's hooks are out.
  ASSERT_TRUE(Await([&] { return (daemon = Attach()) != nullptr; }));
  ASSERT_TRUE(daemon->Begin());
  EXPECT_TRUE(daemon->AwaitRecords(Kind::kRangePop, 100));
}

TEST_F(SessionTest, HoldsTheBudgetOfTheWelcome) {
  UseNvtx();
  const BusyThread thread;
  const auto daemon = Attach();
  ASSERT_TRUE(daemon && daemon->Begin(/*budget_ppm=*/1000));
  ASSERT_TRUE(daemon->AwaitRecords(Kind::kAgentCost, 2));
  const record::AgentCost& cost = daemon->Last(Kind::kAgentCost).agent_cost;
  EXPECT_GT(cost.units_seen, 0u);
  EXPECT_LT(cost.units_recorded, cost.units_seen);
}

TEST_F(SessionTest, AForkedChildHasNoPartInItAndMayHaveItsOwn) {
  UseNvtx();
  const BusyThread thread;
  const auto daemon = Attach();
  ASSERT_TRUE(daemon && daemon->Begin());
  ASSERT_TRUE(daemon->AwaitRecords(Kind::kRangePop));
  int to_child[2];
  ASSERT_EQ(pipe(to_child), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(to_child[1]);
    char byte;
    const auto is_over = [&] {
      pollfd event{to_child[0], POLLIN, 0};
      return poll(&event, 1, 0) > 0 && read(to_child[0], &byte, 1) == 0;
    };
    while (!is_over()) {
      nvtxRangePushA("of the child");
      nvtxRangePop();
    }
    std::exit(0);
  }
  close(to_child[0]);
  int socket = -1;
  ASSERT_TRUE(Await([&] { return (socket = SessionDaemon::Connect(SocketOf(child))) >= 0; }));
  {
    SessionDaemon of_child(socket);
    ASSERT_TRUE(of_child.Begin());
    EXPECT_EQ(of_child.hello().pid, child);
    EXPECT_TRUE(of_child.AwaitRecords(Kind::kRangePop, 100));
    EXPECT_TRUE(of_child.End());
  }
  EXPECT_TRUE(daemon->AwaitRecords(Kind::kRangePop, 100)) << "the parent's goes on";
  close(to_child[1]);
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_FALSE(std::filesystem::exists(SocketOf(child)));
  EXPECT_TRUE(std::filesystem::exists(SocketOf(getpid())));
}

TEST_F(SessionTest, HearsRangesOfAnNvtxThatWasUsedBeforeItCame) {
  EXPECT_EQ(nvtxRangePushA("unheard"), NVTX_NO_PUSH_POP_TRACKING);
  nvtxRangePop();
  const BusyThread thread;
  for (int session = 0; session < 2; ++session) {
    const auto daemon = Attach();
    ASSERT_TRUE(daemon && daemon->Begin());
    EXPECT_TRUE(daemon->AwaitRecords(Kind::kRangePop, 100));
    EXPECT_TRUE(daemon->End());
  }
}

// --- Hostile daemons
// ------------------------------------------------------------------------------------------------------------------

TEST_F(SessionTest, ADaemonThatSaysNonsenseIsLeft) {
  const record::Control good = record::MakeControl(Opcode::kWelcome);
  record::Control wrong_version = good;
  ++wrong_version.version;
  const record::Control wrong_order = record::MakeControl(Opcode::kPause);
  const std::string noise(10'000, '\xff');
  const struct {
    const void* bytes;
    size_t size;
  } attacks[] = {{noise.data(), noise.size()},
                 {&good, sizeof(good) - 1},
                 {noise.data(), sizeof(good)},
                 {noise.data(), 1},
                 {&wrong_version, sizeof(wrong_version)},
                 {&wrong_order, sizeof(wrong_order)}};
  for (const auto& attack : attacks) {
    for (const bool is_welcome : {false, true}) {
      if (is_welcome && attack.bytes == &wrong_order) {
        continue;  // then it is none
      }
      const auto daemon = Attach();
      ASSERT_TRUE(daemon && daemon->ReceiveHello()) << &attack - attacks;
      if (is_welcome) {
        ASSERT_TRUE(daemon->Send(Opcode::kWelcome));
      }
      ASSERT_TRUE(daemon->SendBytes(attack.bytes, attack.size));
      EXPECT_TRUE(daemon->AwaitClosed()) << &attack - attacks;
    }
  }
}

TEST_F(SessionTest, ADaemonThatNeverAnswersOrGoesAtOnceIsLeft) {
  for (const bool hears_hello : {false, true}) {
    auto daemon = Attach();
    ASSERT_TRUE(daemon && (!hears_hello || daemon->ReceiveHello()));
    daemon->Close();
    ASSERT_TRUE(Await([&] { return (daemon = Attach()) != nullptr; }));
    EXPECT_TRUE(daemon->Begin());
    EXPECT_TRUE(daemon->End());
  }
  const auto silent = Attach();
  ASSERT_TRUE(silent && silent->ReceiveHello());
  EXPECT_TRUE(silent->AwaitClosed());
}

// --- A prepared process
// ---------------------------------------------------------------------------------------------------------------

class ListeningTest : public SessionTest {};

TEST_F(ListeningTest, OneDaemonAtATimeAndOneAfterTheOther) {
  UseNvtx();
  const BusyThread thread;
  for (int i = 0; i < 3; ++i) {
    int socket = -1;
    ASSERT_TRUE(Await([&] { return (socket = SessionDaemon::Connect(SocketOf(getpid()))) >= 0; }));
    SessionDaemon daemon(socket);
    ASSERT_TRUE(daemon.Begin());
    ASSERT_TRUE(daemon.AwaitRecords(Kind::kRangePop, 100));
    SessionDaemon second(SessionDaemon::Connect(SocketOf(getpid())));
    EXPECT_FALSE(second.ReceiveHello());
    int error = 0;
    EXPECT_EQ(Attach(&error), nullptr);
    EXPECT_EQ(error, EBUSY);
    EXPECT_TRUE(daemon.End());
  }
}

TEST_F(ListeningTest, WhoSaysNothingDoesNotKeepTheNextOneOut) {
  UseNvtx();
  const BusyThread thread;
  ASSERT_TRUE(Await([this] { return std::filesystem::exists(SocketOf(getpid())); }));
  std::list<SessionDaemon> silent;
  for (int i = 0; i < 3; ++i) {
    silent.emplace_back(SessionDaemon::Connect(SocketOf(getpid())));
  }
  SessionDaemon daemon(SessionDaemon::Connect(SocketOf(getpid())));
  ASSERT_TRUE(daemon.Begin());
  EXPECT_TRUE(daemon.AwaitRecords(Kind::kRangePop, 100));
  for (SessionDaemon& left : silent) {
    EXPECT_TRUE(left.ReceiveHello());
    EXPECT_TRUE(left.AwaitClosed());
  }
  EXPECT_TRUE(daemon.End());
}

TEST_F(ListeningTest, ManyConnectionsThatGoAtOnceLeaveNothing) {
  UseNvtx();
  const BusyThread thread;
  ASSERT_TRUE(Await([this] { return std::filesystem::exists(SocketOf(getpid())); }));
  const size_t descriptors = Holdings::OfThisProcess().descriptors;
  for (int i = 0; i < 200; ++i) {
    SessionDaemon gone(SessionDaemon::Connect(SocketOf(getpid())));
  }
  SessionDaemon daemon(SessionDaemon::Connect(SocketOf(getpid())));
  ASSERT_TRUE(daemon.Begin());
  EXPECT_TRUE(daemon.End());
  daemon.Close();
  EXPECT_TRUE(Await([descriptors] { return Holdings::OfThisProcess().descriptors <= descriptors; }));
}

TEST_F(ListeningTest, DoesNotBeginBeforeTheProcessComputes) {
  listen_();
  listen_();
  EXPECT_EQ(SessionDaemon::Connect(SocketOf(getpid())), -1);
  UseNvtx();
  EXPECT_TRUE(Await([this] { return std::filesystem::exists(SocketOf(getpid())); }));
  struct stat status {};
  ASSERT_EQ(stat((directory_ / "dsocr").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
}

TEST_F(ListeningTest, TakesThePlaceOfASocketThatWasLeft) {
  std::filesystem::create_directory(directory_ / "dsocr");
  std::filesystem::permissions(directory_ / "dsocr", std::filesystem::perms::owner_all);
  directory_.Write("dsocr/agent-" + std::to_string(getpid()), "");
  UseNvtx();
  int socket = -1;
  ASSERT_TRUE(Await([&] { return (socket = SessionDaemon::Connect(SocketOf(getpid()))) >= 0; }));
  SessionDaemon daemon(socket);
  EXPECT_TRUE(daemon.Begin());
}

TEST_F(ListeningTest, RefusesADirectoryThatIsNotItsAlone) {
  std::filesystem::create_directory(directory_ / "elsewhere");
  std::filesystem::permissions(directory_ / "elsewhere", std::filesystem::perms::owner_all);
  std::filesystem::create_symlink(directory_ / "elsewhere", directory_ / "dsocr");
  const size_t threads = Holdings::OfThisProcess().threads;
  UseNvtx();
  EXPECT_TRUE(Await([&] { return Holdings::OfThisProcess().threads == threads; })) << "its thread has ended";
  EXPECT_TRUE(std::filesystem::is_empty(directory_ / "elsewhere"));
}

#ifdef DSOCR_IS_ROOT  // who alone can be another user
TEST_F(ListeningTest, SendsAnotherUserAway) {
  UseNvtx();
  ASSERT_TRUE(Await([this] { return std::filesystem::exists(SocketOf(getpid())); }));
  // The directory keeps others out; here it does not.
  for (const auto& path : {directory_.path(), directory_ / "dsocr"}) {
    std::filesystem::permissions(path, std::filesystem::perms::all);
  }
  std::filesystem::permissions(SocketOf(getpid()), std::filesystem::perms::all);
  const pid_t child = fork();
  if (child == 0) {
    constexpr int kNobody = 65534;
    const std::string path = SocketOf(getppid());
    if (setresuid(kNobody, kNobody, kNobody) != 0) {
      _exit(1);
    }
    const int socket = SessionDaemon::Connect(path);
    if (socket < 0) {
      _exit(2);
    }
    _exit(SessionDaemon(socket).ReceiveHello() ? 3 : 0);
  }
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}
#endif

}  // namespace
}  // namespace dsocr::agent
