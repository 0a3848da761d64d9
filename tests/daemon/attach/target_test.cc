#include "daemon/attach/target.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <string>

#include "daemon/attach/injector.h"
#include "daemon/attach/proc.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/daemon/attach/job.h"
#include "tests/scratch_directory.h"

namespace dsocr::attach {
namespace {

using testing::HasSubstr;

// What Inspect or CheckMayTrace says.
absl::Status Judge(pid_t pid) {
  const absl::StatusOr<Target> target = Inspect(pid);
  return target.ok() ? CheckMayTrace(*target) : target.status();
}

// The number in "ready NUMBER".
pid_t ReadyChild(Job& job) {
  const std::string line = job.ReadLine();
  return line.starts_with("ready ") ? std::stoi(line.substr(6)) : -1;
}

// A refusal of this code, in one line with this text in it.
MATCHER_P2(Refuses, code, text, "") {
  const std::string message(arg.message());
  *result_listener << arg.ToString();
  return arg.code() == code && message.find(text) != std::string::npos && message.find('\n') == std::string::npos;
}

constexpr absl::StatusCode kNotFound = absl::StatusCode::kNotFound;
constexpr absl::StatusCode kDenied = absl::StatusCode::kPermissionDenied;
constexpr absl::StatusCode kUnfit = absl::StatusCode::kFailedPrecondition;

TEST(TargetTest, TellsAProcessAsItIs) {
  Job job({DSOCR_ATTACH_JOB, "threads", "an argument"});
  ASSERT_EQ(job.ReadLine(), "ready");
  const absl::StatusOr<Target> target = Inspect(job.pid());
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_EQ(target->pid, job.pid());
  EXPECT_EQ(target->inner_pid, job.pid());
  EXPECT_EQ(target->parent, ::getpid());
  EXPECT_EQ(target->uid, ::geteuid());
  EXPECT_EQ(target->command, DSOCR_ATTACH_JOB " threads an argument");
  EXPECT_EQ(target->libc, Libc::kGlibc);
  EXPECT_TRUE(target->is_x86_64);
  EXPECT_TRUE(target->same_mount_namespace);
  EXPECT_FALSE(target->has_libtorch);
  EXPECT_EQ(target->python, "");
  EXPECT_TRUE(target->gpus.empty());
  EXPECT_EQ(target->agent_path, "");
  EXPECT_EQ(CheckMayTrace(*target), absl::OkStatus());
}

TEST(TargetTest, FindsLibtorchItsVersionKinetoAndTheAgent) {
  const ScratchDirectory scratch;
  scratch.Write("torch/version.py", "from typing import Optional\n__version__ = '2.11.0+cu130'\ndebug = False\n");
  std::filesystem::create_directories(scratch / "torch/lib");
  const std::string library = scratch / "torch/lib/libtorch_cpu.so";
  std::filesystem::copy_file(DSOCR_TEST_AGENT, library);
  Job job({"env", std::string("LD_PRELOAD=") + DSOCR_TEST_AGENT + ":" + library, "KINETO_USE_DAEMON=0",
           "KINETO_IPC_SOCKET_DIR=/run/here", DSOCR_ATTACH_JOB, "threads"});
  ASSERT_EQ(job.ReadLine(), "ready");
  const absl::StatusOr<Target> target = Inspect(job.pid());
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_EQ(target->libtorch_path, library);
  EXPECT_EQ(target->libtorch_version, "2.11.0+cu130");
  EXPECT_TRUE(target->uses_kineto_daemon);
  EXPECT_EQ(target->kineto_socket_dir, "/run/here");
  EXPECT_EQ(target->agent_path, DSOCR_TEST_AGENT);
  EXPECT_NE(target->agent_base, 0U);
  EXPECT_EQ(CheckHasLibtorch(*target), absl::OkStatus());
}

TEST(TargetTest, KnowsCPython) {
  Job job({DSOCR_PYTHON, "-c", "print('ready', flush=True); input()"});
  ASSERT_EQ(job.ReadLine(), "ready");
  const absl::StatusOr<Target> target = Inspect(job.pid());
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_THAT(target->python, testing::MatchesRegex("CPython 3\\.[0-9]+"));
}

TEST(TargetTest, ListsProcessesWithoutTheirDescriptors) {
  Job job({DSOCR_ATTACH_JOB, "threads"});
  ASSERT_EQ(job.ReadLine(), "ready");
  const std::vector<Target> processes = ListProcesses();
  const auto found =
      std::find_if(processes.begin(), processes.end(), [&](const Target& process) { return process.pid == job.pid(); });
  ASSERT_NE(found, processes.end());
  EXPECT_EQ(found->command, DSOCR_ATTACH_JOB " threads");
  EXPECT_FALSE(found->pidfd.valid());
}

TEST(TargetTest, NamesTheChildrenThatHaveLibtorch) {
  const ScratchDirectory scratch;
  const std::string library = scratch / "libtorch_cpu.so";
  std::filesystem::copy_file(DSOCR_TEST_AGENT, library);
  Job job({"sh", "-c", "LD_PRELOAD=" + library + " " DSOCR_ATTACH_JOB " threads; :"});
  ASSERT_EQ(job.ReadLine(), "ready");
  EXPECT_THAT(CheckHasLibtorch(*Inspect(job.pid())), Refuses(kUnfit, DSOCR_ATTACH_JOB " threads); use --children"));
  Job childless({DSOCR_ATTACH_JOB, "threads"});
  ASSERT_EQ(childless.ReadLine(), "ready");
  EXPECT_THAT(CheckHasLibtorch(*Inspect(childless.pid())), Refuses(kUnfit, "there is no libtorch in it; attach"));
}

TEST(RefusalTest, OfAProcessThatIsNotThere) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  EXPECT_THAT(Judge(child), Refuses(kNotFound, "there is none"));
  EXPECT_THAT(Judge(0), Refuses(kNotFound, "process 0: there is none"));
  EXPECT_THAT(Judge(-1), Refuses(kNotFound, "process -1: there is none"));
}

TEST(RefusalTest, OfAThread) {
  Job job({DSOCR_ATTACH_JOB, "threads"});
  ASSERT_EQ(job.ReadLine(), "ready");
  const std::vector<int> threads = ListNumbers(ProcPath(job.pid(), "task"), 10);
  ASSERT_EQ(threads.size(), 4U);
  EXPECT_THAT(Judge(threads[1]), Refuses(kNotFound, fmt::format("it is a thread of process {0}; give {0}", job.pid())));
}

TEST(RefusalTest, OfThisProcessItself) { EXPECT_THAT(Judge(::getpid()), Refuses(kUnfit, "it is this dsocrd itself")); }

TEST(RefusalTest, OfAZombie) {
  Job job({DSOCR_ATTACH_JOB, "zombie"});
  EXPECT_THAT(Judge(ReadyChild(job)), Refuses(kUnfit, "it has ended"));
}

TEST(RefusalTest, OfATracedProcessNamesTheTracer) {
  Job job({DSOCR_ATTACH_JOB, "traced"});
  EXPECT_THAT(Judge(ReadyChild(job)),
              Refuses(kUnfit, fmt::format("process {} (dsocr_attach_jo) traces it", job.pid())));
}

TEST(RefusalTest, OfAStoppedProcess) {
  Job job({DSOCR_ATTACH_JOB, "stopped"});
  ASSERT_EQ(job.ReadLine(), "ready");
  EXPECT_TRUE(Eventually([&] { return !Judge(job.pid()).ok(); }));
  EXPECT_THAT(Judge(job.pid()),
              Refuses(kUnfit, fmt::format("it is stopped; continue it with 'kill -CONT {}'", job.pid())));
}

TEST(RefusalTest, OfAStaticProgram) {
  Job job({DSOCR_STATIC_JOB});
  ASSERT_EQ(job.ReadLine(), "ready");
  EXPECT_THAT(Judge(job.pid()), Refuses(kUnfit, "it is statically linked"));
}

TEST(RefusalTest, OfMusl) {
  // What tells musl is its loader among the mappings.
  const ScratchDirectory scratch;
  const std::string loader = scratch / "ld-musl-x86_64.so.1";
  std::filesystem::copy_file("/lib64/ld-linux-x86-64.so.2", loader);
  Job job({loader, DSOCR_ATTACH_JOB, "threads"});
  ASSERT_EQ(job.ReadLine(), "ready");
  EXPECT_THAT(Judge(job.pid()), Refuses(kUnfit, "its libc is musl"));
}

TEST(RefusalTest, OfANonDumpableProcess) {
  Job job({DSOCR_ATTACH_JOB, "hidden"});
  ASSERT_EQ(job.ReadLine(), "ready");
  EXPECT_THAT(Judge(job.pid()), Refuses(kDenied, "the process hides itself (non-dumpable)"));
}

#ifdef DSOCR_IS_ROOT  // other users need it

constexpr uid_t kNobody = 65534;
constexpr uid_t kSomebody = 12345;

// What a process says of `judge` after `become`: "OK", or the status. It is not this one, which stays root.
std::string InAnotherProcess(const std::function<void()>& become, const std::function<absl::Status()>& judge) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    become();
    const std::string said = judge().ToString();
    ::_exit(::write(ends[1], said.data(), said.size()) < 0);
  }
  ::close(ends[1]);
  std::string said(4096, '\0');
  said.resize(std::max<ssize_t>(::read(ends[0], said.data(), said.size()), 0));
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return said;
}

std::function<void()> Become(uid_t user) {
  return [user] {
    if (::setgroups(0, nullptr) != 0 || ::setresgid(user, user, user) != 0 || ::setresuid(user, user, user) != 0) {
      ::_exit(1);
    }
  };
}

std::vector<std::string> As(uid_t user, std::vector<std::string> command) {
  command.insert(command.begin(),
                 {"setpriv", fmt::format("--reuid={}", user), fmt::format("--regid={}", user), "--clear-groups"});
  return command;
}

TEST(RefusalTest, OfAnotherUsersProcess) {
  Job job(As(kNobody, {DSOCR_ATTACH_JOB, "threads"}));
  ASSERT_EQ(job.ReadLine(), "ready");
  const std::string said = InAnotherProcess(Become(kSomebody), [&] { return Judge(job.pid()); });
  EXPECT_THAT(said, HasSubstr("PERMISSION_DENIED: process "));
  EXPECT_THAT(said, HasSubstr("(user nobody, '"));
  EXPECT_THAT(said, HasSubstr("dsocrd (user 12345) may not trace it"));
  EXPECT_THAT(said, HasSubstr("run dsocrd as nobody or root"));
  EXPECT_THAT(said, HasSubstr("--cap-add SYS_PTRACE"));
}

TEST(RefusalTest, IsNotOfTheSameUsersProcess) {
  Job job(As(kNobody, {DSOCR_ATTACH_JOB, "threads"}));
  ASSERT_EQ(job.ReadLine(), "ready");
  EXPECT_EQ(InAnotherProcess(Become(kNobody),
                             [&] {
                               const absl::Status may = Judge(job.pid());
                               return may.ok() ? Inject(*Inspect(job.pid()), DSOCR_TEST_AGENT).status() : may;
                             }),
            "OK");
  EXPECT_EQ(Judge(job.pid()), absl::OkStatus()) << "of root";
}

TEST(RefusalTest, OfRootWithoutTheRightToTrace) {
  Job job(As(kNobody, {DSOCR_ATTACH_JOB, "threads"}));
  ASSERT_EQ(job.ReadLine(), "ready");
  const auto drop = [] {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct sets[2]{};
    ::syscall(SYS_capget, &header, sets);
    sets[0].permitted &= ~(1U << CAP_SYS_PTRACE);
    sets[0].effective &= ~(1U << CAP_SYS_PTRACE);
    ::syscall(SYS_capset, &header, sets);
  };
  EXPECT_THAT(InAnotherProcess(drop, [&] { return Judge(job.pid()); }),
              HasSubstr("dsocrd (user root) may not trace it"));
}

TEST(RefusalTest, OfANonDumpableProcessWhoeverAsks) {
  Job job(As(kNobody, {DSOCR_ATTACH_JOB, "hidden"}));
  ASSERT_EQ(job.ReadLine(), "ready");
  EXPECT_THAT(Judge(job.pid()), Refuses(kDenied, "the process hides itself (non-dumpable)"));
  EXPECT_THAT(InAnotherProcess(Become(kNobody), [&] { return Judge(job.pid()); }),
              HasSubstr("PERMISSION_DENIED: process "));
}

TEST(RefusalTest, OfASetuidProgram) {
  const ScratchDirectory scratch;
  std::filesystem::permissions(scratch.path(), std::filesystem::perms(0755));
  const std::string program = scratch / "setuid_job";
  std::filesystem::copy_file(DSOCR_ATTACH_JOB, program);
  std::filesystem::permissions(program, std::filesystem::perms(04755));
  Job job(As(kNobody, {program, "threads"}));
  ASSERT_EQ(job.ReadLine(), "ready");
  EXPECT_THAT(Judge(job.pid()), Refuses(kDenied, "its program is setuid"));
  EXPECT_THAT(InAnotherProcess(Become(kNobody), [&] { return Judge(job.pid()); }), HasSubstr("its program is setuid"));
}

TEST(RefusalTest, OfAThreadOfTheKernel) {
  // Number 2 in the first pid namespace; a container does not see it.
  for (const Target& process : ListProcesses()) {
    if (process.is_kernel_thread) {
      EXPECT_THAT(CheckMayTrace(process), Refuses(kUnfit, "it is a thread of the kernel"));
    }
    EXPECT_EQ(process.is_kernel_thread, process.pid == 2 || process.parent == 2) << process.pid;
  }
}

TEST(RefusalTest, OfAProcessThatProcDoesNotShow) {
  Job job(As(kNobody, {DSOCR_ATTACH_JOB, "threads"}));
  ASSERT_EQ(job.ReadLine(), "ready");
  const auto hide = [] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("proc", "/proc", "proc", 0, "hidepid=invisible") != 0) {
      ::_exit(1);
    }
    Become(kSomebody)();
  };
  EXPECT_THAT(InAnotherProcess(hide, [&] { return Judge(job.pid()); }), HasSubstr("/proc does not show it"));
}

TEST(TargetTest, SeesTheGpusThatAProcessHoldsOpen) {
  Job job({"unshare", "-m", "sh", "-c",
           "mount -t tmpfs none /dev && touch /dev/nvidia1 /dev/nvidiactl && exec 8< /dev/nvidia1 9< /dev/nvidiactl && "
           "exec " DSOCR_ATTACH_JOB " threads"});
  ASSERT_EQ(job.ReadLine(), "ready");
  const absl::StatusOr<Target> target = Inspect(job.pid());
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_THAT(target->gpus, testing::ElementsAre("nvidia1"));
  EXPECT_FALSE(target->same_mount_namespace);
}

#endif

}  // namespace
}  // namespace dsocr::attach
