// The whole capture path with real processes: the shipped agent inside a job that links LibTorch, the collector's
// thread, the fold.
#include "daemon/collect/collector.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "cupti/record/message.h"
#include "cupti/record/ring.h"
#include "cupti/record/trace_file.h"
#include "tests/scratch_directory.h"

namespace dsocr::collect {
namespace {

using attribution::ModuleSum;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class CollectorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    setenv("XDG_RUNTIME_DIR", directory_.path().c_str(), 1);  // where an agent without a session listens
    auto started = Collector::Start(directory_ / "agent.sock", DSOCR_BIN_DIR "/libdsocr_agent.so");
    ASSERT_TRUE(started.ok()) << started.status();
    collector_ = *std::move(started);
  }

  std::unique_ptr<Session> Expect(SessionOptions options) {
    auto session = collector_->Expect(std::move(options));
    EXPECT_TRUE(session.ok()) << session.status();
    return *std::move(session);
  }

  // Runs a command in the session's environment; its wait status.
  static int Run(const Session& session, bool preload, const std::vector<std::string>& command) {
    std::vector<std::string> environment;
    for (char** variable = environ; *variable != nullptr; ++variable) {
      environment.emplace_back(*variable);
    }
    for (const auto& [name, value] : session.Environment(preload)) {
      environment.push_back(name + "=" + value);
    }
    std::vector<char*> argv;
    std::vector<char*> envp;
    for (const std::string& word : command) {
      argv.push_back(const_cast<char*>(word.c_str()));
    }
    for (const std::string& variable : environment) {
      envp.push_back(const_cast<char*>(variable.c_str()));
    }
    argv.push_back(nullptr);
    envp.push_back(nullptr);
    pid_t pid = -1;
    EXPECT_EQ(posix_spawnp(&pid, argv[0], nullptr, nullptr, argv.data(), envp.data()), 0);
    int status = -1;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    return status;
  }

  const ScratchDirectory directory_;
  std::unique_ptr<Collector> collector_;
};

const std::string kJob = DSOCR_PROFILED_JOB;

// The module ids of the job's own ranges; vision's blocks are one group.
attribution::Options JobModel(int skip_requests) {
  attribution::Options options;
  options.request_range = "request";
  options.skip_requests = skip_requests;
  options.resolve_range = [](std::string_view name) -> attribution::RangeMeaning {
    if (name == "request") return {"root", ""};
    if (name == "vision") return {"vision", ""};
    if (name.substr(0, 13) == "vision/block[") return {"vision/block[0-1]", ""};
    return {};
  };
  return options;
}

SessionResult FinishSoon(Session& session) { return session.Finish(absl::Now() + absl::Seconds(20)); }

const ModuleSum* Find(const attribution::RequestSum& request, const std::string& module_id) {
  for (const ModuleSum& module : request.modules) {
    if (module.module_id == module_id) return &module;
  }
  return nullptr;
}

int64_t SumOfSelf(const attribution::RequestSum& request) {
  return std::accumulate(request.modules.begin(), request.modules.end(), int64_t{0},
                         [](int64_t sum, const ModuleSum& module) { return sum + module.self_device_ns; });
}

TEST_F(CollectorTest, TellsTheAgentItsBudgetInPartsPerMillion) {
  const auto budget_of = [this](double share) {
    const std::map<std::string, std::string> environment =
        Expect({.attribution = {}, .trace_dir = "", .overhead_budget = share})->Environment(/*preload=*/false);
    const auto budget = environment.find(record::kBudgetVariable);
    return budget != environment.end() ? budget->second : "absent";
  };
  EXPECT_EQ(budget_of(0), "absent");
  EXPECT_EQ(budget_of(0.01), "10000");
  EXPECT_EQ(budget_of(0.5), "500000");
  EXPECT_EQ(budget_of(1e-9), "1");
}

TEST_F(CollectorTest, AttributesEveryOperatorOfAJobToItsModule) {
  const auto session = Expect({JobModel(1), ""});
  ASSERT_EQ(Run(*session, false, {kJob, "requests", "4"}), 0);
  const SessionResult result = FinishSoon(*session);

  ASSERT_TRUE(result.agent_came);
  EXPECT_EQ(result.attribution.request_total_ns.size(), 3u);
  EXPECT_EQ(result.attribution.records_dropped, 0);
  EXPECT_EQ(result.attribution.records_invalid, 0);
  EXPECT_THAT(result.attribution.unknown_ranges, ElementsAre("not a module"));
  EXPECT_GT(result.attribution.agent_cost_ns, 0);
  const attribution::RequestSum& request = result.attribution.request;
  EXPECT_EQ(request.operations, 6);
  EXPECT_EQ(request.operations_unattributed, 0);
  EXPECT_EQ(SumOfSelf(request) + request.unattributed_ns, request.attributed_ns + request.unattributed_ns);

  const ModuleSum* root = Find(request, "root");
  const ModuleSum* vision = Find(request, "vision");
  const ModuleSum* block = Find(request, "vision/block[0-1]");
  ASSERT_TRUE(root && vision && block);
  EXPECT_EQ(root->calls, 1);
  EXPECT_EQ(root->launches, 6);
  EXPECT_EQ(vision->parent_id, "root");
  EXPECT_EQ(vision->self_device_ns, 0);
  EXPECT_EQ(vision->launches, 4);
  EXPECT_EQ(block->calls, 2);
  EXPECT_EQ(block->parent_id, "vision");
  ASSERT_EQ(block->categories.size(), 2u);
  EXPECT_EQ(block->categories[0].category_id, "gemm");
  EXPECT_EQ(block->categories[0].operations, 2);
  EXPECT_EQ(block->categories[1].category_id, "elementwise");
  for (const ModuleSum& module : request.modules) {
    EXPECT_EQ(module.wall_ns, module.busy_ns + module.gap_ns) << module.module_id;
    EXPECT_GE(module.gap_ns, 0) << module.module_id;
  }
  EXPECT_EQ(root->device_ns, request.attributed_ns);
}

TEST_F(CollectorTest, RecordsOperatorsOfAPreloadedJobWithoutRanges) {
  const auto session = Expect({});
  ASSERT_EQ(Run(*session, true, {kJob, "linked"}), 0);
  const SessionResult result = FinishSoon(*session);
  ASSERT_TRUE(result.agent_came);
  EXPECT_GT(result.attribution.request.operations, 10);
  EXPECT_EQ(result.attribution.request.operations_unattributed, result.attribution.request.operations);
}

TEST_F(CollectorTest, FollowsAShellToTheJobItStartsAndLeavesTheShellAlone) {
  const auto session = Expect({JobModel(0), ""});
  ASSERT_EQ(Run(*session, true, {"sh", "-c", "true; (sleep 0.1); " + kJob + " requests 1"}), 0);
  const SessionResult result = FinishSoon(*session);
  EXPECT_EQ(result.processes, 1);
  EXPECT_EQ(result.attribution.request.operations, 6);
}

TEST_F(CollectorTest, KeepsWhatAKilledJobWrote) {
  const auto session = Expect({JobModel(0), ""});
  const int status = Run(*session, false, {kJob, "killed"});
  ASSERT_TRUE(WIFSIGNALED(status));
  const SessionResult result = FinishSoon(*session);
  ASSERT_TRUE(result.agent_came);
  EXPECT_EQ(result.attribution.request_total_ns.size(), 1u) << "the half request is not one";
  EXPECT_EQ(result.attribution.request.operations, 6);
}

TEST_F(CollectorTest, LeavesForkedChildrenOut) {
  const auto session = Expect({JobModel(0), ""});
  ASSERT_EQ(Run(*session, false, {kJob, "forked"}), 0);
  const SessionResult result = FinishSoon(*session);
  EXPECT_EQ(result.processes, 1);
  EXPECT_EQ(result.attribution.request_total_ns.size(), 2u);
  EXPECT_EQ(result.attribution.records_invalid, 0);
}

TEST_F(CollectorTest, SeesTheThreadsOfAJobAsCallsOfOneModule) {
  const auto session = Expect({});
  ASSERT_EQ(Run(*session, false, {kJob, "threads", "8"}), 0);
  const SessionResult result = FinishSoon(*session);
  const ModuleSum* worker = Find(result.attribution.request, "worker");
  ASSERT_NE(worker, nullptr);
  EXPECT_EQ(worker->calls, 8);
  EXPECT_EQ(worker->launches, 800);
  EXPECT_EQ(worker->wall_ns, worker->busy_ns + worker->gap_ns);
}

TEST_F(CollectorTest, RecordsNothingWhilePausedAndStaysBalanced) {
  const auto session = Expect({});
  ASSERT_EQ(Run(*session, false, {kJob, "toggled", "100"}), 0);
  const SessionResult result = FinishSoon(*session);
  const ModuleSum* step = Find(result.attribution.request, "request.step");
  const ModuleSum* request = Find(result.attribution.request, "request");
  ASSERT_TRUE(step && request);
  EXPECT_EQ(step->calls, 50);
  EXPECT_EQ(step->launches, 50);
  EXPECT_EQ(request->launches, 50);
  EXPECT_EQ(result.attribution.records_invalid, 0);
}

TEST_F(CollectorTest, KeepsRawRecordsThatFoldToTheSameResult) {
  const auto session = Expect({JobModel(0), directory_.path().string()});
  ASSERT_EQ(Run(*session, false, {kJob, "requests", "2"}), 0);
  const SessionResult result = FinishSoon(*session);
  EXPECT_EQ(result.trace_error, "");
  std::FILE* file = std::fopen((directory_ / "records.dsocr").c_str(), "rb");
  ASSERT_NE(file, nullptr);
  record::TraceReader trace(file);
  attribution::Attribution again(JobModel(0));
  for (auto records = trace.Next(); !records.empty(); records = trace.Next()) {
    for (const record::Record& record : records) {
      again.Consume(record);
    }
  }
  std::fclose(file);
  EXPECT_EQ(trace.state(), record::TraceReader::State::kEnd);
  const attribution::Result refolded = again.Finish();
  EXPECT_GT(refolded.records_received, 0);
  EXPECT_EQ(refolded.records_received, result.attribution.records_received);
  EXPECT_EQ(refolded.request.attributed_ns, result.attribution.request.attributed_ns);
}

TEST_F(CollectorTest, GivesKernelsToTheRangeThatLaunchedThem) {
  const auto session = Expect({JobModel(1), ""});
  ASSERT_EQ(Run(*session, false, {"env", "LD_PRELOAD=" DSOCR_FAKE_CUPTI, kJob, "gpu", "4"}), 0);
  const SessionResult result = FinishSoon(*session);
  EXPECT_EQ(result.attribution.request_total_ns.size(), 3u);
  EXPECT_EQ(result.attribution.records_invalid, 0);
  EXPECT_EQ(result.attribution.records_dropped, 0);
  EXPECT_GT(result.attribution.clock_uncertainty_ns, 0);
  const attribution::RequestSum& request = result.attribution.request;
  EXPECT_EQ(request.operations, 5) << "kernels and copies; operator calls are not operations of a GPU job";
  EXPECT_EQ(request.attributed_ns, 500 + 1000 + 2000 + 300 + 40);
  EXPECT_EQ(request.unattributed_ns, 0);
  const ModuleSum* root = Find(request, "root");
  const ModuleSum* vision = Find(request, "vision");
  ASSERT_TRUE(root && vision);
  EXPECT_EQ(root->self_device_ns, 540);
  EXPECT_EQ(root->busy_ns, 3840) << "one after the other";
  EXPECT_EQ(vision->device_ns, 3300);
  ASSERT_EQ(vision->categories.size(), 3u);
  EXPECT_EQ(vision->categories[0].category_id, "gemm");
  EXPECT_EQ(vision->categories[1].category_id, "attention");
  EXPECT_EQ(vision->categories[2].category_id, "other");
}

TEST_F(CollectorTest, UndoesCuptiThatIsRefusedHalfWay) {
  const auto session = Expect({JobModel(0), ""});
  const std::string output = directory_ / "enabled";
  // kind 10 is CONCURRENT_KERNEL: three kinds are on by then
  ASSERT_EQ(
      Run(*session, false,
          {"sh", "-c",
           "FAKE_CUPTI_FAULTS='refuse_kind 10' LD_PRELOAD=" DSOCR_FAKE_CUPTI " exec " + kJob + " gpu 2 > " + output}),
      0);
  std::string enabled;
  std::getline(std::ifstream(output) >> std::ws, enabled);
  EXPECT_EQ(enabled, "0");
  const SessionResult result = FinishSoon(*session);
  EXPECT_EQ(result.attribution.request.operations, 1) << "the operator calls are the operations then";
}

TEST_F(CollectorTest, SaysThatNoAgentCame) {
  const auto session = Expect({});
  ASSERT_EQ(Run(*session, false, {"true"}), 0);
  const absl::Time start = absl::Now();
  EXPECT_FALSE(FinishSoon(*session).agent_came);
  EXPECT_LT(absl::Now() - start, absl::Seconds(5)) << "it does not wait for the deadline";
}

// --- Hostile peers
// -----------------------------------------------------------------------------------------------------------------

class HostileTest : public CollectorTest {
 protected:
  UniqueFd Connect() const {
    UniqueFd peer(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    (directory_ / "agent.sock").string().copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(connect(peer.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    return peer;
  }

  // `fd` goes with it, so often. False: the packet was not taken.
  static bool Send(int peer, const void* bytes, size_t size, int fd, size_t copies = 1) {
    iovec data{const_cast<void*>(bytes), size};
    alignas(cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    if (fd >= 0) {
      message.msg_control = control;
      message.msg_controllen = CMSG_SPACE(copies * sizeof(int));
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(copies * sizeof(int));
      for (size_t i = 0; i < copies; ++i) {
        std::memcpy(CMSG_DATA(header) + i * sizeof(fd), &fd, sizeof(fd));
      }
    }
    return sendmsg(peer, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(size);
  }

  // True once the collector has closed the connection.
  static bool IsDropped(int peer) {
    char byte;
    return recv(peer, &byte, 1, 0) <= 0;
  }

  static record::Hello HelloOf(const Session& session, uint32_t slot_count) {
    record::Hello hello{record::kMessageMagic, record::kMessageVersion, record::Opcode::kHello, 1, slot_count, {}};
    session.Environment(false).at(record::kTokenVariable).copy(hello.token, sizeof(hello.token));
    return hello;
  }

  static UniqueFd Memfd(size_t bytes, int seals) {
    UniqueFd fd(memfd_create("test-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    EXPECT_EQ(ftruncate(fd.get(), static_cast<off_t>(bytes)), 0);
    EXPECT_EQ(fcntl(fd.get(), F_ADD_SEALS, seals), 0);
    return fd;
  }
};

TEST_F(HostileTest, CostsOnlyItsOwnConnection) {
  const auto session = Expect({JobModel(0), ""});
  constexpr uint32_t kSlots = record::kMinRingSlots;
  const UniqueFd good_ring = Memfd(record::RingBytes(kSlots), F_SEAL_SHRINK | F_SEAL_GROW);
  const UniqueFd unsealed = Memfd(record::RingBytes(kSlots), 0);
  const UniqueFd too_small = Memfd(4096, F_SEAL_SHRINK);
  const UniqueFd not_a_file(open("/dev/null", O_RDWR | O_CLOEXEC));
  record::Hello wrong_token = HelloOf(*session, kSlots);
  wrong_token.token[0] ^= 1;
  record::Hello wrong_magic = HelloOf(*session, kSlots);
  wrong_magic.magic = 0;
  const record::Hello giant = HelloOf(*session, 0xffffffff);
  const record::Hello good = HelloOf(*session, kSlots);
  const std::string noise(100'000, '\xff');
  const struct {
    const void* bytes;
    size_t size;
    int fd;
  } attacks[] = {
      {noise.data(), noise.size(), -1},    // a giant packet
      {noise.data(), 1, good_ring.get()},  // a tiny one
      {noise.data(), sizeof(record::Hello), good_ring.get()},
      {&wrong_token, sizeof(wrong_token), good_ring.get()},
      {&wrong_magic, sizeof(wrong_magic), good_ring.get()},
      {&giant, sizeof(giant), good_ring.get()},  // a ring of 256 GiB
      {&good, sizeof(good), -1},                 // no ring at all
      {&good, sizeof(good), unsealed.get()},
      {&good, sizeof(good), too_small.get()},
      {&good, sizeof(good), not_a_file.get()},
      {&good, sizeof(good), good_ring.get()},  // its header is zeros
  };
  for (const auto& attack : attacks) {
    const UniqueFd peer = Connect();
    EXPECT_TRUE(Send(peer.get(), attack.bytes, attack.size, attack.fd));
    EXPECT_TRUE(IsDropped(peer.get())) << &attack - attacks;
  }
  ASSERT_EQ(Run(*session, false, {kJob, "requests", "1"}), 0);
  const SessionResult result = FinishSoon(*session);
  EXPECT_EQ(result.processes, 1);
  EXPECT_EQ(result.attribution.request.operations, 6);
}

TEST_F(HostileTest, DescriptorsThatNobodyAskedForAreClosed) {
  const auto session = Expect({});
  const UniqueFd ring = Memfd(record::RingBytes(record::kMinRingSlots), F_SEAL_SHRINK | F_SEAL_GROW);
  const record::Hello hello = HelloOf(*session, record::kMinRingSlots);
  const auto count = [] {
    const std::filesystem::directory_iterator open("/proc/self/fd");
    return std::distance(begin(open), end(open));
  };
  const auto before = count();
  for (int i = 0; i < 20; ++i) {
    const size_t size = i % 2 == 0 ? sizeof(hello) : 0;
    const UniqueFd peer = Connect();
    ASSERT_TRUE(Send(peer.get(), &hello, size, ring.get(), /*copies=*/2));
    EXPECT_TRUE(IsDropped(peer.get()));
  }
  EXPECT_EQ(count(), before);
}

#ifdef DSOCR_IS_ROOT  // who alone can be another user
TEST_F(HostileTest, AnotherUserIsSentAwayThoughItHasTheToken) {
  const auto session = Expect({});
  const UniqueFd ring = Memfd(record::RingBytes(record::kMinRingSlots), F_SEAL_SHRINK | F_SEAL_GROW);
  const record::Hello hello = HelloOf(*session, record::kMinRingSlots);
  // Directory and mode keep others out; here they do not.
  std::filesystem::permissions(directory_.path(), std::filesystem::perms::all);
  std::filesystem::permissions(directory_ / "agent.sock", std::filesystem::perms::all);
  const pid_t child = fork();
  if (child == 0) {
    constexpr int kNobody = 65534;
    if (setresuid(kNobody, kNobody, kNobody) != 0) {
      _exit(1);
    }
    const UniqueFd peer = Connect();
    Send(peer.get(), &hello, sizeof(hello), ring.get());  // or it is dropped before
    _exit(IsDropped(peer.get()) ? 0 : 2);
  }
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(session->Look().processes_recording, 0);
}
#endif

TEST_F(HostileTest, NonsenseInTheRingIsCountedAndLeftOut) {
  const auto session = Expect({});
  constexpr uint32_t kSlots = 1 << 12;
  const UniqueFd fd = Memfd(record::RingBytes(kSlots), F_SEAL_SHRINK);
  void* memory = mmap(nullptr, record::RingBytes(kSlots), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  ASSERT_NE(memory, MAP_FAILED);
  record::RingWriter writer = record::RingWriter::Create(memory, kSlots);
  uint64_t random = 88172645463325252u;
  for (int i = 0; i < 4000; ++i) {
    record::Record record{};
    uint64_t words[7];
    for (uint64_t& word : words) {
      random ^= random << 13, random ^= random >> 7, random ^= random << 17;  // xorshift64
      word = random;
    }
    std::memcpy(&record, words, sizeof(record));
    record.kind = static_cast<record::Kind>(i % (record::kLastKind + 3));
    writer.Write(record);
  }
  UniqueFd peer = Connect();
  const record::Hello hello = HelloOf(*session, kSlots);
  ASSERT_TRUE(Send(peer.get(), &hello, sizeof(hello), fd.get()));
  record::Control welcome{};
  ASSERT_EQ(recv(peer.get(), &welcome, sizeof(welcome), 0), static_cast<ssize_t>(sizeof(welcome)));
  peer.reset();
  const SessionResult result = FinishSoon(*session);
  munmap(memory, record::RingBytes(kSlots));
  EXPECT_GE(result.attribution.records_received, 4000);
  EXPECT_EQ(collector_->Totals().received, result.attribution.records_received);
  EXPECT_EQ(collector_->Totals().invalid, result.attribution.records_invalid);
  EXPECT_GT(result.attribution.records_invalid, 2000);
  EXPECT_EQ(result.attribution.request.operations, 0);
}

TEST_F(HostileTest, WhatAnAdoptedPeerSaysInPlaceOfAHelloIsToldAsText) {
  const auto session = Expect({});
  const auto told = [&session](std::string_view packet) {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    UniqueFd peer(ends[1]);
    if (!packet.empty()) {
      EXPECT_EQ(send(peer.get(), packet.data(), packet.size(), 0), static_cast<ssize_t>(packet.size()));
    }
    peer.reset();
    const absl::Status adopted = session->Adopt(UniqueFd(ends[0]), getpid(), absl::Now() + absl::Seconds(20));
    EXPECT_EQ(adopted.code(), absl::StatusCode::kFailedPrecondition);
    return std::string(adopted.message());
  };
  EXPECT_EQ(told("!no such\nfile \xff"), "no such?file ?");
  EXPECT_EQ(told("hello"), "what it said is no hello of this version");
  EXPECT_EQ(told(""), "the process closed the connection");
  EXPECT_EQ(told(std::string("!") + std::string(5000, 'x')).size(), record::kMaxRefusalBytes - 1);
}

TEST_F(HostileTest, ThousandsOfSilentConnectionsDoNotKeepAJobOut) {
  const auto session = Expect({JobModel(0), ""});
  std::vector<UniqueFd> silent;
  for (int i = 0; i < 500; ++i) {
    silent.push_back(Connect());
  }
  ASSERT_EQ(Run(*session, false, {kJob, "requests", "1"}), 0);
  EXPECT_EQ(FinishSoon(*session).attribution.request.operations, 6);
}

}  // namespace
}  // namespace dsocr::collect
