#include "daemon/attach/late_kineto.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "cupti/record/message.h"
#include "daemon/attach/injector.h"
#include "daemon/attach/prepared.h"
#include "fmt/format.h"

namespace dsocr::attach {
namespace {

constexpr std::string_view kTriedTorch = "2.11.";
// CUPTI, where there is a GPU, takes most of it.
constexpr absl::Duration kBeginTimeout = absl::Seconds(20);

absl::Status NoLateKineto(const Target& target, std::string_view why) {
  return absl::FailedPreconditionError(fmt::format("kineto of {}: {}", target.pid, why));
}

// The agent's next packet, cut to what an answer may have; empty: none came, or the end.
std::string ReceivePacket(int socket, absl::Time deadline) {
  char bytes[record::kMaxKinetoAnswerBytes];
  pollfd event{socket, POLLIN, 0};
  const int64_t left_ms = std::max<int64_t>(0, absl::ToInt64Milliseconds(deadline - absl::Now()));
  if (::poll(&event, 1, static_cast<int>(left_ms)) <= 0) {
    return "";
  }
  const ssize_t size = ::recv(socket, bytes, sizeof(bytes), MSG_DONTWAIT);  // no room for descriptors: none stays
  return size <= 0 ? "" : std::string(bytes, static_cast<size_t>(size));
}

std::string OnlyPrintable(std::string text) {
  for (char& letter : text) {
    letter = letter < ' ' || letter > '~' ? '?' : letter;
  }
  return text;
}

}  // namespace

absl::Status CheckLateKineto(const Target& target) {
  DSOCR_RETURN_IF_ERROR(CheckMayTrace(target));
  DSOCR_RETURN_IF_ERROR(CheckHasLibtorch(target));
  if (!target.libtorch_version.empty() && !target.libtorch_version.starts_with(kTriedTorch)) {
    return NoLateKineto(target, fmt::format("it has torch {}, in which PyTorch's profiler is not switched on later; "
                                            "start it with KINETO_USE_DAEMON=1",
                                            target.libtorch_version));
  }
  return absl::OkStatus();
}

absl::Status StartKineto(const std::string& agent_path, Target* target) {
  absl::StatusOr<UniqueFd> socket =
      FindAgentSocket(target->pid).empty() ? Inject(*target, agent_path) : ConnectToAgent(target->pid, target->uid);
  DSOCR_RETURN_IF_ERROR(socket.status());
  const absl::Time deadline = absl::Now() + kBeginTimeout;
  std::string said = ReceivePacket(socket->get(), deadline);
  record::Hello hello;
  if (record::ParseHello(said.data(), said.size(), &hello)) {  // with a ring, which is not wanted
    const record::Control control = record::MakeControl(record::Opcode::kStartKineto);
    (void)::send(socket->get(), &control, sizeof(control), MSG_NOSIGNAL | MSG_DONTWAIT);
    said = ReceivePacket(socket->get(), deadline);
  }
  if (said.empty()) {
    return NoLateKineto(*target, "the agent in it says nothing; is it being recorded?");
  }
  if (said.front() != '/') {
    return NoLateKineto(*target, said.front() == record::kRefusalMark ? OnlyPrintable(said.substr(1))
                                                                      : "what its agent said makes no sense");
  }
  target->uses_kineto_daemon = true;
  target->kineto_socket_dir = std::move(said);
  return absl::OkStatus();
}

}  // namespace dsocr::attach
