// Puts the agent many times into processes that do nothing but allocate, the worst moment for it: every one must
// answer, and go on allocating.
//
// usage: attach_soak [ROUNDS]
#include <sys/socket.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "daemon/attach/injector.h"
#include "daemon/attach/proc.h"
#include "tests/daemon/attach/job.h"

namespace dsocr::attach {
namespace {

// Clock ticks that the process has used.
long Used(pid_t pid) {
  const std::string line = ReadFile(ProcPath(pid, "stat"), 4096).value_or("");
  long used = 0;
  std::sscanf(line.c_str() + line.rfind(')') + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld", &used);
  return used;
}

bool Answers(const UniqueFd& socket) {
  const timeval patience{30, 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  char answer[16];
  return ::send(socket.get(), "hello", 5, MSG_NOSIGNAL) == 5 && ::recv(socket.get(), answer, sizeof(answer), 0) == 5;
}

// Milliseconds until the agent answered; negative: it did not, or the job went on no more.
double Attach() {
  Job job({DSOCR_ATTACH_JOB, "busy"});
  if (job.ReadLine() != "ready") {
    return -1;
  }
  const absl::Time begin = absl::Now();
  const absl::StatusOr<Target> target = Inspect(job.pid());
  const absl::StatusOr<UniqueFd> socket = target.ok() ? Inject(*target, DSOCR_TEST_AGENT) : target.status();
  if (!socket.ok() || !Answers(*socket)) {
    std::fprintf(stderr, "%s\n", socket.status().ToString().c_str());
    return -1;
  }
  const double took_ms = absl::ToDoubleMilliseconds(absl::Now() - begin);
  const long used = Used(job.pid());
  return Eventually([&] { return Used(job.pid()) > used; }) ? took_ms : -1;
}

int Soak(int rounds) {
  std::vector<double> times;
  for (int round = 0; round < rounds; ++round) {
    if (const double took_ms = Attach(); took_ms >= 0) {
      times.push_back(took_ms);
    }
  }
  std::sort(times.begin(), times.end());
  std::printf("attach_soak: %zu of %d", times.size(), rounds);
  if (!times.empty()) {
    std::printf(", answered after %.1f ms (median), %.1f ms at most", times[times.size() / 2], times.back());
  }
  std::printf("\n");
  return times.size() == static_cast<size_t>(rounds) ? 0 : 1;
}

}  // namespace
}  // namespace dsocr::attach

int main(int count, char** arguments) { return dsocr::attach::Soak(count > 1 ? std::atoi(arguments[1]) : 40); }
