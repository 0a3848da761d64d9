// The daemon's end of the agents: a unix socket on which they say hello, one shared-memory ring a process, one attribution a session.
//
// Everything that arrives is checked; a peer that breaks the protocol loses its connection and nothing else.
#ifndef DSOCR_DAEMON_COLLECT_COLLECTOR_H_
#define DSOCR_DAEMON_COLLECT_COLLECTOR_H_

#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cupti/attribution/attribution.h"

namespace dsocr::collect {

struct SessionOptions {
  attribution::Options attribution;
  std::string trace_dir;  // absolute; where the raw records are kept; empty: nowhere
};

struct SessionResult {
  attribution::Result attribution;
  int64_t pid = 0;
  bool agent_came = false;  // false: no process with this session's token ever said hello
};

// One expected job. Thread-safe. Destroying it drops the connection; the job goes on undisturbed.
class Session {
 public:
  virtual ~Session() = default;

  // What a command's environment needs for the agent to come with it (NVTX_INJECTION64_PATH, CUDA_INJECTION64_PATH, LD_PRELOAD, token, socket).
  // `preload` adds LD_PRELOAD, for commands that may not emit NVTX.
  virtual std::map<std::string, std::string> Environment(bool preload) const = 0;

  // Drains what the job wrote and folds it. Returns when every process of the session has gone, or at the deadline with what there is.
  virtual SessionResult Finish(absl::Time deadline) = 0;
};

class Collector {
 public:
  // Creates the socket (mode 0600) and a thread that serves it. `agent_path`: libdsocr_agent.so.
  static absl::StatusOr<std::unique_ptr<Collector>> Start(const std::string& socket_path, const std::string& agent_path);
  virtual ~Collector() = default;

  virtual absl::StatusOr<std::unique_ptr<Session>> Expect(SessionOptions options) = 0;
};

}  // namespace dsocr::collect

#endif  // DSOCR_DAEMON_COLLECT_COLLECTOR_H_
