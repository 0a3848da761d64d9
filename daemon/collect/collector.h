// The daemon's end of the agents: a unix socket on which they say hello, one shared-memory ring and one attribution a
// process.
//
// Everything that arrives is checked; a peer that breaks the protocol loses its connection and nothing else.
#ifndef DSOCR_DAEMON_COLLECT_COLLECTOR_H_
#define DSOCR_DAEMON_COLLECT_COLLECTOR_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "cupti/attribution/attribution.h"
#include "cupti/record/message.h"
#include "daemon/collect/request_counter.h"

namespace dsocr::collect {

struct SessionOptions {
  attribution::Options
      attribution;  // resolve_range is called on the collector's thread; it must not call the collector
  // Absolute; where the raw records are kept (docs/record-format.md): records.dsocr, and records.PID.dsocr for each
  // process after the first. Empty: nowhere.
  std::string trace_dir;
  double overhead_budget = 0.0;                // share of the job's time that recording may take; 0: no limit
  record::Depth depth = record::Depth::kNone;  // which modules of a Python job get hooks
  std::function<std::unique_ptr<RequestCounter>()> new_request_counter;  // for each process; null: none
};

// How far a session is.
struct Progress {
  int processes_recording = 0;
  bool has_begun = false;  // a range or an operation has come
  int64_t records = 0;
  // That are over, of the process with the most records: counted by its RequestCounter where that knows what a request
  // is, else outermost ranges.
  int64_t requests = 0;
  bool are_requests_counted = false;
};

struct SessionResult {
  attribution::Result attribution;  // of the process with the most operations
  int64_t pid = 0;
  int processes = 0;        // how many said hello
  bool agent_came = false;  // processes > 0
  std::string trace_path;   // its raw records; empty: not kept
  std::string trace_error;  // why raw records are missing; empty: they are all there, or were not asked for
};

// One expected job. Thread-safe. Destroying it drops the connections: the agents take their hooks out, and the job goes
// on undisturbed.
class Session {
 public:
  virtual ~Session() = default;

  // What a command's environment needs for the agent to come with it (NVTX_INJECTION64_PATH, CUDA_INJECTION64_PATH,
  // LD_PRELOAD, token, socket, budget). `preload` adds LD_PRELOAD, for commands that may not emit NVTX.
  virtual std::map<std::string, std::string> Environment(bool preload) const = 0;

  // Takes a connected socket whose other end the agent in process `pid` holds, and waits until it has said hello.
  // FAILED_PRECONDITION: what said something else, or nothing until the deadline, with its own words if it had any.
  virtual absl::Status Adopt(UniqueFd socket, int64_t pid, absl::Time deadline) = 0;

  // Tells the agents to stop recording for a while, or to go on.
  virtual void SetPaused(bool is_paused) = 0;

  // Tells the agents to take their hooks out; they close their connections then.
  virtual void Detach() = 0;

  virtual Progress Look() = 0;
  // Of the process with the most records.
  virtual std::vector<attribution::LiveModule> Live() = 0;

  // Drains what the job wrote and folds it. Returns when every process of the session has gone, or at the deadline with
  // what there is. Where no agent has said hello yet it waits only kHelloGrace: a job that ended may have left its
  // hello in the socket. REQUIRES: called once, when the job has ended or is to be watched no longer.
  virtual SessionResult Finish(absl::Time deadline) = 0;
};

inline constexpr absl::Duration kHelloGrace = absl::Milliseconds(200);

// Of every process of the sessions that were finished.
struct RecordTotals {
  int64_t received = 0;
  int64_t dropped = 0;
  int64_t invalid = 0;
  // Of GPU operations. Only a session whose launches were counted adds to launched and pending.
  int64_t operations_launched = 0;
  int64_t operations_recorded = 0;
  int64_t operations_dropped = 0;
  int64_t operations_invalid = 0;
  int64_t operations_pending = 0;
  std::map<record::IncidentCode, int64_t> incidents;
};

class Collector {
 public:
  // Creates the socket (mode 0600, replacing a stale one) and a thread that serves it. `agent_path`: libdsocr_agent.so,
  // absolute. Errors: INVALID_ARGUMENT for a path too long for a socket, INTERNAL for what the system refuses.
  static absl::StatusOr<std::unique_ptr<Collector>> Start(const std::string& socket_path,
                                                          const std::string& agent_path);

  // REQUIRES: its sessions are gone. Removes the socket.
  virtual ~Collector() = default;

  virtual absl::StatusOr<std::unique_ptr<Session>> Expect(SessionOptions options) = 0;

  virtual RecordTotals Totals() = 0;
};

}  // namespace dsocr::collect

#endif  // DSOCR_DAEMON_COLLECT_COLLECTOR_H_
