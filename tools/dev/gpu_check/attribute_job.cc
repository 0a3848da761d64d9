// A job under the agent without dsocrd: listens, starts the job, drains its ring, attributes its records.
//
//   attribute_job --agent LIB --out FILE [--trace FILE] [--request RANGE --skip N] -- CMD…
//
// For machines that have neither gRPC nor Protobuf. One process alone is followed: the first that says hello. The
// document of --out has the keys of a report's `attribution`. Exit code: the job's; 1 if it could not be followed, 2
// for wrong usage.
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "cupti/attribution/attribution.h"
#include "cupti/record/message.h"
#include "cupti/record/ring.h"
#include "cupti/record/trace_file.h"

namespace {

using namespace dsocr;

constexpr char kToken[] = "0123456789abcdef0123456789abcdef";  // the socket is in a directory of our own
static_assert(sizeof(kToken) == record::kTokenBytes + 1);
constexpr size_t kBatch = 512;

struct CommandLine {
  std::string agent;
  std::string out;
  std::string trace;
  attribution::Options options;
  char** job = nullptr;
};

bool Parse(int argc, char** argv, CommandLine* line) {
  int i = 1;
  for (; i + 1 < argc && std::strcmp(argv[i], "--") != 0; i += 2) {
    const std::string flag = argv[i];
    const char* value = argv[i + 1];
    if (flag == "--agent") {
      line->agent = value;
    } else if (flag == "--out") {
      line->out = value;
    } else if (flag == "--trace") {
      line->trace = value;
    } else if (flag == "--request") {
      line->options.request_range = value;
    } else if (flag == "--skip") {
      line->options.skip_requests = std::atoi(value);
    } else {
      return false;
    }
  }
  line->job = argv + i + 1;
  return i + 1 < argc && !line->agent.empty() && !line->out.empty();
}

int Fail(const std::string& what) {
  std::fprintf(stderr, "attribute_job: error: %s (%s)\n", what.c_str(), std::strerror(errno));
  return 1;
}

int Listen(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return -1;
  }
  std::memcpy(address.sun_path, path.c_str(), path.size());
  const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  return fd >= 0 && bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 && listen(fd, 8) == 0
             ? fd
             : -1;
}

pid_t StartJob(const CommandLine& line, const std::string& socket_path) {
  const pid_t pid = fork();
  if (pid == 0) {
    setenv(record::kSocketVariable, socket_path.c_str(), 1);
    setenv(record::kTokenVariable, kToken, 1);
    for (const char* variable : {"NVTX_INJECTION64_PATH", "CUDA_INJECTION64_PATH", "LD_PRELOAD"}) {
      setenv(variable, line.agent.c_str(), 1);
    }
    execvp(line.job[0], line.job);
    std::perror(line.job[0]);
    _exit(127);
  }
  return pid;
}

// The agent's ring, mapped; false: the peer is no agent of this version.
bool Welcome(int peer, record::RingReader* ring, int64_t* pid) {
  char bytes[sizeof(record::Hello) + 1];
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  iovec data{bytes, sizeof(bytes)};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const ssize_t size = recvmsg(peer, &message, MSG_CMSG_CLOEXEC);
  const cmsghdr* header = size > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
  record::Hello hello;
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS ||
      !record::ParseHello(bytes, static_cast<size_t>(size), &hello) || !record::IsValidSlotCount(hello.slot_count)) {
    return false;
  }
  int memfd;
  std::memcpy(&memfd, CMSG_DATA(header), sizeof(memfd));
  const size_t ring_bytes = record::RingBytes(hello.slot_count);
  struct stat status;
  void* memory = fstat(memfd, &status) == 0 && static_cast<size_t>(status.st_size) == ring_bytes
                     ? mmap(nullptr, ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0)
                     : MAP_FAILED;
  close(memfd);
  const record::Control welcome = record::MakeControl(record::Opcode::kWelcome);
  *pid = hello.pid;
  return memory != MAP_FAILED && record::RingReader::Open(memory, ring_bytes, ring) &&
         send(peer, &welcome, sizeof(welcome), MSG_NOSIGNAL) == sizeof(welcome);
}

// Folds the records of one process, and keeps them in a file where that is asked for.
class Sink {
 public:
  explicit Sink(const CommandLine& line)
      : attribution_(line.options),
        file_(line.trace.empty() ? nullptr : std::fopen(line.trace.c_str(), "wbe")),
        trace_(file_),
        is_kept_(file_ != nullptr) {}
  ~Sink() {
    if (file_ != nullptr) {
      Keep([this] { return trace_.Flush(); });
      std::fclose(file_);
    }
  }

  void Begin(int64_t pid) {
    Keep([&] { return trace_.Begin(pid); });
  }
  void Take(const record::Record* records, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      attribution_.Consume(records[i]);
    }
    Keep([&] { return trace_.Write(records, count); });
  }
  attribution::Result Finish() { return attribution_.Finish(); }

 private:
  // What cannot be kept is said once; attribution goes on.
  template <typename Write>
  void Keep(Write write) {
    if (is_kept_ && !write()) {
      std::perror("attribute_job: trace");
      is_kept_ = false;
    }
  }

  attribution::Attribution attribution_;
  std::FILE* file_;
  record::TraceWriter trace_;
  bool is_kept_;
};

// Until the agent hangs up.
void Drain(int peer, record::RingReader& ring, Sink& sink) {
  record::Record records[kBatch];
  for (bool is_over = false; !is_over;) {
    pollfd event{peer, POLLIN, 0};
    is_over = poll(&event, 1, 1) > 0;  // an agent says nothing after its hello but farewell
    while (const size_t count = ring.Read(records, kBatch)) {
      sink.Take(records, count);
    }
  }
  while (const size_t count = ring.ReadAfterDeath(records, kBatch)) {
    sink.Take(records, count);
  }
  record::Record dropped{};
  dropped.kind = record::Kind::kDropped;
  dropped.dropped.total = ring.dropped();
  sink.Take(&dropped, 1);
}

// Follows the job to its end. False: no agent came.
bool Follow(int listener, pid_t job, Sink& sink, int* wait_status) {
  for (;;) {
    pollfd event{listener, POLLIN, 0};
    if (poll(&event, 1, 20) > 0) {
      const int peer = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      record::RingReader ring;
      int64_t pid = 0;
      if (Welcome(peer, &ring, &pid)) {
        sink.Begin(pid);
        Drain(peer, ring, sink);
        return waitpid(job, wait_status, 0) == job;
      }
      close(peer);
    } else if (waitpid(job, wait_status, WNOHANG) == job) {
      return false;
    }
  }
}

std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const unsigned char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
    }
    quoted += c < 0x20 ? '?' : static_cast<char>(c);
  }
  return quoted + '"';
}

void PrintLedger(std::FILE* out, const attribution::GpuSums& gpu) {
  attribution::StreamLedger sum;
  for (const attribution::StreamLedger& stream : gpu.streams) {
    sum.launched += stream.launched;
    sum.recorded += stream.recorded;
    sum.dropped += stream.dropped;
    sum.invalid += stream.invalid;
    sum.pending += stream.pending;
  }
  const auto if_counted = [&](int64_t count) { return gpu.launches_counted ? std::to_string(count) : "null"; };
  std::fprintf(out,
               "  \"ledger\": {\"launched\": %s, \"recorded\": %ld, \"dropped\": %ld, \"invalid\": %ld, \"pending\": "
               "%s},\n",
               if_counted(sum.launched).c_str(), sum.recorded, sum.dropped, sum.invalid,
               if_counted(sum.pending).c_str());
  std::fprintf(out,
               "  \"graphs\": {\"launches\": %ld, \"graphs\": %ld, \"operations_captured\": %ld, "
               "\"operations_inferred\": %ld, \"operations_unknown\": %ld},\n",
               gpu.graphs.launches, gpu.graphs.graphs, gpu.graphs.operations_captured, gpu.graphs.operations_inferred,
               gpu.graphs.operations_unknown);
}

void Print(std::FILE* out, const attribution::Result& result) {
  const attribution::RequestSum& request = result.request;
  const int64_t device_ns = request.attributed_ns + request.unattributed_ns;
  const auto ms = [](int64_t ns) { return static_cast<double>(ns) / 1e6; };
  std::fprintf(out, "{\"measured_total_time_ms\": %.6f, \"attribution\": {\n", ms(request.total_ns));
  std::fprintf(out, "  \"attributed_device_time_ms\": %.6f, \"unattributed_device_time_ms\": %.6f,\n",
               ms(request.attributed_ns), ms(request.unattributed_ns));
  std::fprintf(out, "  \"attributed_share\": %.9f, \"operations\": %ld, \"operations_unattributed\": %ld,\n",
               device_ns > 0 ? static_cast<double>(request.attributed_ns) / static_cast<double>(device_ns) : 0.0,
               request.operations, request.operations_unattributed);
  std::fprintf(out, "  \"records_received\": %ld, \"records_dropped\": %ld, \"records_invalid\": %ld,\n",
               result.records_received, result.records_dropped, result.records_invalid);
  if (result.gpu) {
    PrintLedger(out, *result.gpu);
  } else {
    std::fprintf(out, "  \"ledger\": null, \"graphs\": null,\n");
  }
  std::fprintf(out, "  \"incidents\": [");
  for (size_t i = 0; i < result.incidents.size(); ++i) {
    const attribution::Incident& incident = result.incidents[i];
    std::fprintf(out, "%s{\"code\": %u, \"text\": %s, \"count\": %ld}", i == 0 ? "" : ", ",
                 static_cast<unsigned>(incident.code), Quoted(incident.name).c_str(), incident.count);
  }
  std::fprintf(out, "]},\n \"module_measurements\": [");
  for (size_t i = 0; i < request.modules.size(); ++i) {
    const attribution::ModuleSum& module = request.modules[i];
    std::fprintf(out, "%s\n  {\"module_id\": %s, \"calls\": %ld, \"device_time_ms\": %.6f, \"launches\": %ld}",
                 i == 0 ? "" : ",", Quoted(module.module_id).c_str(), module.calls, ms(module.device_ns),
                 module.launches);
  }
  std::fprintf(out, "]}\n");
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine line;
  if (!Parse(argc, argv, &line)) {
    std::fprintf(stderr,
                 "usage: attribute_job --agent LIB --out FILE [--trace FILE] [--request RANGE --skip N] -- CMD…\n");
    return 2;
  }
  char directory[] = "/tmp/dsocr-job-XXXXXX";
  if (mkdtemp(directory) == nullptr) {
    return Fail(directory);
  }
  const std::string socket_path = std::string(directory) + "/socket";
  const int listener = Listen(socket_path);
  Sink sink(line);
  int wait_status = 0;
  const pid_t job = listener < 0 ? -1 : StartJob(line, socket_path);
  const bool has_come = job > 0 && Follow(listener, job, sink, &wait_status);
  unlink(socket_path.c_str());
  rmdir(directory);
  if (!has_come) {
    if (job < 0) {
      return Fail("the job could not be started");
    }
    std::fprintf(stderr, "attribute_job: error: the job ended, with status %d, and no agent had come\n", wait_status);
    return 1;
  }
  std::FILE* out = std::fopen(line.out.c_str(), "we");
  if (out == nullptr) {
    return Fail(line.out);
  }
  Print(out, sink.Finish());
  std::fclose(out);
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 1;
}
