#include "daemon/collect/collector.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <list>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/unique_fd.h"
#include "daemon/collect/hello.h"
#include "daemon/collect/process.h"

namespace dsocr::collect {
namespace {

// Between two looks at the rings. Doubles from the first to the second while rings stay nearly empty: a daemon beside a
// CPU job must not take its cores, and a wake-up costs 50 us of one. At the longest pause a ring takes 1.3 million
// records a second before it is full.
constexpr int kShortestPauseMs = 1;
constexpr int kLongestPauseMs = 100;
constexpr size_t kBusyRing = record::kDefaultRingSlots / 64;    // more than this in one look: look again soon
constexpr size_t kDrainAtOnce = record::kDefaultRingSlots / 2;  // then the other rings have their turn
// Who connects must say hello soon, and not too many may be waiting to.
constexpr absl::Duration kHelloTimeout = absl::Seconds(5);
constexpr size_t kMaxStrangers = 64;
constexpr size_t kMaxProcesses = 256;  // in one session

// What the agent is told; a budget under one millionth is one millionth, for 0 would be none.
uint32_t PartsPerMillion(double share) {
  return share <= 0 ? 0 : static_cast<uint32_t>(std::max<int64_t>(1, std::llround(share * 1e6)));
}

void AddTo(RecordTotals* totals, const attribution::Result& result) {
  totals->received += result.records_received;
  totals->dropped += result.records_dropped;
  totals->invalid += result.records_invalid;
  if (result.gpu) {
    for (const attribution::StreamLedger& row : result.gpu->streams) {
      totals->operations_launched += result.gpu->launches_counted ? row.launched : 0;
      totals->operations_recorded += row.recorded;
      totals->operations_dropped += row.dropped;
      totals->operations_invalid += row.invalid;
      totals->operations_pending += result.gpu->launches_counted ? row.pending : 0;
    }
  }
  for (const attribution::Incident& incident : result.incidents) {
    totals->incidents[incident.code] += incident.count;
  }
}

struct SessionState;

struct Stranger {
  UniqueFd socket;
  int64_t pid;
  absl::Time since;
  SessionState* session = nullptr;  // that it was adopted for; null: its token says which
};

struct SessionState {
  std::string token;
  SessionOptions options;
  std::list<Process> processes;
  std::map<int64_t, std::string> refusals;  // by pid: why no hello came on an adopted socket

  bool IsOver() const {
    return !processes.empty() &&
           std::none_of(processes.begin(), processes.end(), [](const Process& p) { return p.is_connected(); });
  }
  bool HasCome() const { return !processes.empty(); }
  const Process* Busiest() const {
    const auto records = [](const Process& process) { return process.attribution().records_received(); };
    const auto found = std::max_element(processes.begin(), processes.end(),
                                        [&](const Process& a, const Process& b) { return records(a) < records(b); });
    return found == processes.end() ? nullptr : &*found;
  }
};

absl::Status SystemError(const std::string& what) {
  return absl::InternalError(absl::StrCat(what, ": ", std::strerror(errno)));
}

std::string NewToken() {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::array<unsigned char, record::kTokenBytes / 2> random{};
  if (getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size())) {
    return "";
  }
  std::string token;
  for (const unsigned char byte : random) {
    token += kDigits[byte >> 4];
    token += kDigits[byte & 15];
  }
  return token;
}

// The peer's pid, if it is this user or root.
std::optional<int64_t> TrustedPeer(int socket) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || (peer.uid != geteuid() && peer.uid != 0)) {
    return std::nullopt;
  }
  return peer.pid;
}

class CollectorImpl : public Collector {
 public:
  CollectorImpl(std::string socket_path, std::string agent_path, UniqueFd listener, UniqueFd wake)
      : socket_path_(std::move(socket_path)),
        agent_path_(std::move(agent_path)),
        listener_(std::move(listener)),
        wake_(std::move(wake)) {
    thread_ = std::thread([this] { Serve(); });
  }

  ~CollectorImpl() override {
    {
      absl::MutexLock lock(&mutex_);
      is_stopping_ = true;
    }
    Wake();
    thread_.join();
    unlink(socket_path_.c_str());
  }

  absl::StatusOr<std::unique_ptr<Session>> Expect(SessionOptions options) override;

  RecordTotals Totals() override {
    absl::MutexLock lock(&mutex_);
    return totals_;
  }

  std::map<std::string, std::string> Environment(const SessionState& session, bool preload) const {
    std::map<std::string, std::string> environment = {{record::kSocketVariable, socket_path_},
                                                      {record::kTokenVariable, session.token},
                                                      {"NVTX_INJECTION64_PATH", agent_path_},
                                                      {"CUDA_INJECTION64_PATH", agent_path_}};
    if (preload) {
      environment["LD_PRELOAD"] = agent_path_;
    }
    if (session.options.overhead_budget > 0) {
      environment[record::kBudgetVariable] = absl::StrCat(PartsPerMillion(session.options.overhead_budget));
    }
    return environment;
  }

  void Tell(SessionState& session, record::Opcode opcode) {
    absl::MutexLock lock(&mutex_);
    for (Process& process : session.processes) {
      process.Send(record::MakeControl(opcode));
    }
  }

  absl::Status Adopt(SessionState& session, UniqueFd socket, int64_t pid, absl::Time deadline) {
    absl::MutexLock lock(&mutex_);
    fcntl(socket.get(), F_SETFL, fcntl(socket.get(), F_GETFL) | O_NONBLOCK);
    session.refusals.erase(pid);
    strangers_.push_back({std::move(socket), pid, absl::Now(), &session});
    Wake();
    const auto is_decided = [&] {
      return session.refusals.contains(pid) ||
             std::any_of(session.processes.begin(), session.processes.end(),
                         [pid](const Process& process) { return process.pid() == pid && process.is_connected(); });
    };
    if (!mutex_.AwaitWithDeadline(absl::Condition(&is_decided), deadline)) {
      std::erase_if(strangers_,
                    [&](const Stranger& stranger) { return stranger.session == &session && stranger.pid == pid; });
      return absl::FailedPreconditionError("the agent in it says nothing");
    }
    const auto refusal = session.refusals.find(pid);
    return refusal == session.refusals.end() ? absl::OkStatus() : absl::FailedPreconditionError(refusal->second);
  }

  Progress Look(SessionState& session) {
    absl::MutexLock lock(&mutex_);
    Progress progress;
    for (const Process& process : session.processes) {
      progress.processes_recording += process.is_connected() ? 1 : 0;
      progress.has_begun = progress.has_begun || process.attribution().has_begun();
      progress.records += process.attribution().records_received();
    }
    if (const Process* busiest = session.Busiest()) {
      const std::optional<int64_t> counted = busiest->CountedRequests();
      progress.are_requests_counted = counted.has_value();
      progress.requests = counted.value_or(busiest->attribution().requests_ended());
    }
    return progress;
  }

  std::vector<attribution::LiveModule> Live(SessionState& session) {
    absl::MutexLock lock(&mutex_);
    const Process* busiest = session.Busiest();
    return busiest == nullptr ? std::vector<attribution::LiveModule>() : busiest->attribution().Live();
  }

  SessionResult Finish(SessionState& session, absl::Time deadline) {
    absl::MutexLock lock(&mutex_);
    if (mutex_.AwaitWithDeadline(absl::Condition(&session, &SessionState::HasCome),
                                 std::min(deadline, absl::Now() + kHelloGrace))) {
      mutex_.AwaitWithDeadline(absl::Condition(&session, &SessionState::IsOver), deadline);
    }
    SessionResult best;
    best.processes = static_cast<int>(session.processes.size());
    best.agent_came = best.processes > 0;
    bool is_first = true;
    for (Process& process : session.processes) {
      process.Disconnect();
      if (best.trace_error.empty()) {
        best.trace_error = process.trace().error();
      }
      attribution::Result result = process.Finish();
      AddTo(&totals_, result);
      if (is_first || result.request.operations > best.attribution.request.operations) {
        best.attribution = std::move(result);
        best.pid = process.pid();
        best.trace_path = process.trace().error().empty() ? process.trace().path() : "";
      }
      is_first = false;
    }
    session.processes.clear();
    return best;
  }

  // Drops the session's connections.
  void Forget(SessionState& session) {
    absl::MutexLock lock(&mutex_);
    std::erase_if(strangers_, [&](const Stranger& stranger) { return stranger.session == &session; });
    session.processes.clear();
    sessions_.erase(session.token);
  }

 private:
  void Wake() {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof(one));
  }

  void Serve();
  void Accept() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Admit(Stranger stranger) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Drains every ring; the largest number of records that one of them held.
  size_t DrainAll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string socket_path_;
  const std::string agent_path_;
  const UniqueFd listener_;
  const UniqueFd wake_;
  absl::Mutex mutex_;
  bool is_stopping_ ABSL_GUARDED_BY(mutex_) = false;
  RecordTotals totals_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, SessionState*, std::less<>> sessions_ ABSL_GUARDED_BY(mutex_);  // by token
  std::list<Stranger> strangers_ ABSL_GUARDED_BY(mutex_);  // connected, not yet introduced; oldest first
  std::thread thread_;
};

class SessionImpl : public Session {
 public:
  SessionImpl(CollectorImpl* collector, std::unique_ptr<SessionState> state)
      : collector_(*collector), state_(std::move(state)) {}
  ~SessionImpl() override { collector_.Forget(*state_); }

  std::map<std::string, std::string> Environment(bool preload) const override {
    return collector_.Environment(*state_, preload);
  }
  absl::Status Adopt(UniqueFd socket, int64_t pid, absl::Time deadline) override {
    return collector_.Adopt(*state_, std::move(socket), pid, deadline);
  }
  void SetPaused(bool is_paused) override {
    collector_.Tell(*state_, is_paused ? record::Opcode::kPause : record::Opcode::kResume);
  }
  void Detach() override { collector_.Tell(*state_, record::Opcode::kDetach); }
  Progress Look() override { return collector_.Look(*state_); }
  std::vector<attribution::LiveModule> Live() override { return collector_.Live(*state_); }
  SessionResult Finish(absl::Time deadline) override { return collector_.Finish(*state_, deadline); }

 private:
  CollectorImpl& collector_;
  const std::unique_ptr<SessionState> state_;
};

absl::StatusOr<std::unique_ptr<Session>> CollectorImpl::Expect(SessionOptions options) {
  auto state = std::make_unique<SessionState>();
  state->token = NewToken();
  state->options = std::move(options);
  if (state->token.empty()) {
    return SystemError("no random numbers for a session token");
  }
  absl::MutexLock lock(&mutex_);
  sessions_[state->token] = state.get();
  return std::make_unique<SessionImpl>(this, std::move(state));
}

void CollectorImpl::Accept() {
  for (;;) {
    UniqueFd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket.valid()) {
      return;
    }
    if (const std::optional<int64_t> pid = TrustedPeer(socket.get())) {
      strangers_.push_back({std::move(socket), *pid, absl::Now()});
    }
    if (strangers_.size() > kMaxStrangers) {  // who was adopted stays: a flood of others is not to push it out
      strangers_.erase(std::find_if(strangers_.begin(), strangers_.end(),
                                    [](const Stranger& stranger) { return stranger.session == nullptr; }));
    }
  }
}

void CollectorImpl::Admit(Stranger stranger) {
  const auto refuse = [&stranger](const std::string& why) {
    if (stranger.session != nullptr) {
      stranger.session->refusals[stranger.pid] = why;
    }
  };
  ReceivedHello received = ReceiveHello(stranger.socket.get());
  if (!received.ring.valid()) {
    return refuse(received.refusal);
  }
  SessionState* in = stranger.session;
  if (in == nullptr) {
    const auto found = sessions_.find(std::string_view(received.hello.token, record::kTokenBytes));
    if (found == sessions_.end()) {
      return;
    }
    in = found->second;
  }
  SessionState& session = *in;
  absl::StatusOr<RingMapping> ring = RingMapping::Map(received.ring.get(), received.hello.slot_count);
  if (!ring.ok()) {
    return refuse(std::string(ring.status().message()));
  }
  if (session.processes.size() >= kMaxProcesses) {
    return refuse("the session has too many processes");
  }
  Process& process = session.processes.emplace_back(
      stranger.pid, std::move(stranger.socket), *std::move(ring), session.options.attribution,
      session.options.new_request_counter ? session.options.new_request_counter() : nullptr);
  if (!session.options.trace_dir.empty()) {
    const bool is_first = session.processes.size() == 1;
    process.trace().Open(absl::StrCat(session.options.trace_dir, "/",
                                      is_first ? "records.dsocr" : absl::StrCat("records.", process.pid(), ".dsocr")),
                         process.pid());
  }
  process.Send(record::MakeControl(record::Opcode::kWelcome, PartsPerMillion(session.options.overhead_budget),
                                   session.options.depth));
}

size_t CollectorImpl::DrainAll() {
  size_t most = 0;
  for (auto& [token, session] : sessions_) {
    for (Process& process : session->processes) {
      if (process.is_connected()) {
        most = std::max(most, process.Drain(kDrainAtOnce));
      }
    }
  }
  return most;
}

void CollectorImpl::Serve() {
  int pause_ms = kShortestPauseMs;
  std::vector<pollfd> events;
  for (;;) {
    events = {{listener_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
    int timeout_ms = -1;
    {
      absl::MutexLock lock(&mutex_);
      if (is_stopping_) {
        return;
      }
      for (const Stranger& stranger : strangers_) {
        events.push_back({stranger.socket.get(), POLLIN, 0});
        timeout_ms = static_cast<int>(absl::ToInt64Milliseconds(kHelloTimeout));
      }
      for (const auto& [token, session] : sessions_) {
        for (const Process& process : session->processes) {
          if (process.is_connected()) {
            events.push_back({process.socket(), POLLIN, 0});
            timeout_ms = pause_ms;
          }
        }
      }
    }
    // A descriptor that another thread closed meanwhile shows as POLLNVAL or as a stranger's event, and is looked up
    // again below.
    poll(events.data(), events.size(), timeout_ms);
    const auto is_ready = [&events](int fd) {
      return std::any_of(events.begin(), events.end(),
                         [fd](const pollfd& event) { return event.fd == fd && event.revents != 0; });
    };
    absl::MutexLock lock(&mutex_);
    if (is_ready(wake_.get())) {
      uint64_t count;
      [[maybe_unused]] const ssize_t size = read(wake_.get(), &count, sizeof(count));
    }
    for (auto stranger = strangers_.begin(); stranger != strangers_.end();) {
      if (is_ready(stranger->socket.get())) {
        Admit(std::move(*stranger));
        stranger = strangers_.erase(stranger);
      } else {
        const bool is_late = stranger->session == nullptr && absl::Now() - stranger->since > kHelloTimeout;
        stranger = is_late ? strangers_.erase(stranger) : std::next(stranger);
      }
    }
    if (is_ready(listener_.get())) {
      Accept();
    }
    pause_ms = DrainAll() > kBusyRing ? kShortestPauseMs : std::min(2 * pause_ms, kLongestPauseMs);
    for (auto& [token, session] : sessions_) {
      for (Process& process : session->processes) {
        // An agent says nothing after its hello: whatever is ready is its end, or a break of the protocol.
        char byte;
        if (process.is_connected() && is_ready(process.socket()) &&
            (recv(process.socket(), &byte, 1, MSG_DONTWAIT) >= 0 || errno != EAGAIN)) {
          process.Disconnect();
        }
      }
    }
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Collector>> Collector::Start(const std::string& socket_path,
                                                            const std::string& agent_path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.empty() || socket_path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("socket '", socket_path, "': the path of a unix socket has at most ",
                                                   sizeof(address.sun_path) - 1, " bytes"));
  }
  std::memcpy(address.sun_path, socket_path.c_str(), socket_path.size());
  UniqueFd listener(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  unlink(socket_path.c_str());
  if (!listener.valid() || !wake.valid() ||
      bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      chmod(socket_path.c_str(), 0600) != 0 || listen(listener.get(), SOMAXCONN) != 0) {
    return SystemError(absl::StrCat("socket '", socket_path, "'"));
  }
  return std::make_unique<CollectorImpl>(socket_path, agent_path, std::move(listener), std::move(wake));
}

}  // namespace dsocr::collect
