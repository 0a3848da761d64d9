// Following what the daemon does: reports that are built, runs that execute.
#ifndef DSOCR_CLIENT_COMMAND_WATCH_H_
#define DSOCR_CLIENT_COMMAND_WATCH_H_

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "client/interrupt.h"
#include "client/session.h"
#include "dsocr/v1/profile.pb.h"

namespace dsocr::client {

// Waits until the report is ready; its artifacts_dir.
absl::StatusOr<std::string> WatchReport(Daemon& daemon, const std::string& report_id);

// The error of a run that did not end well: its own line, under the code of its failure. OK for a run that is done.
absl::Status StatusOf(const v1::Run& run);

// The two lines by which scripts find a report.
std::string PlaceLines(const std::string& report_id, const std::string& artifacts_dir);
// On stdout before the table, on stderr where stdout is a document.
void PrintPlace(Session& session, const std::string& report_id, const std::string& artifacts_dir);

// Follows a run to its end, says on stderr how it goes, and ends it on Ctrl-C or when --timeout has passed. Make it
// before anything talks to the daemon (see InterruptWatch).
class RunWatch {
 public:
  enum class OnInterrupt { kCancel, kDetach };  // the run is lost; it ends early, with its report

  explicit RunWatch(Session& session, OnInterrupt on_interrupt = OnInterrupt::kCancel);

  // From here on the modules of a live job are shown, once a second.
  void ShowModules() { shows_modules_ = true; }

  // The finished run. CANCELLED after Ctrl-C, DEADLINE_EXCEEDED after --timeout, UNAVAILABLE if the daemon dies, else
  // StatusOf the run.
  absl::StatusOr<v1::Run> Follow(Daemon& daemon, const std::string& run_id);

 private:
  void Interrupt(int count);
  void Cancel(Daemon& daemon, const std::string& run_id);
  void Show(const v1::RunEvent& event);
  void ClearLine();

  void ShowLive(const v1::RunEvent& event);

  Session& session_;
  const OnInterrupt on_interrupt_;
  bool shows_modules_ = false;
  int shown_lines_ = 0;  // of modules, on the terminal above the cursor
  absl::Mutex mutex_;
  Daemon* daemon_ ABSL_GUARDED_BY(mutex_) = nullptr;  // while a run is followed
  std::string run_id_ ABSL_GUARDED_BY(mutex_);
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;  // of WatchRun
  v1::RunState shown_state_ = v1::RUN_STATE_UNSPECIFIED;
  bool has_line_ = false;      // a progress line stands on the terminal
  InterruptWatch interrupts_;  // last: its thread uses the others
};

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_COMMAND_WATCH_H_
