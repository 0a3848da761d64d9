// One process of a session: its connection, its ring, and the fold over its records.
#ifndef DSOCR_DAEMON_COLLECT_PROCESS_H_
#define DSOCR_DAEMON_COLLECT_PROCESS_H_

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "cupti/attribution/attribution.h"
#include "cupti/record/message.h"
#include "cupti/record/ring.h"
#include "cupti/record/trace_file.h"
#include "daemon/collect/request_counter.h"

namespace dsocr::collect {

// The mapping of a ring that a peer sent. Movable; unmaps itself.
class RingMapping {
 public:
  // Checks that `memfd` is sealed against shrinking and exactly as large as `slot_count` asks, maps it, and checks the
  // ring's header.
  static absl::StatusOr<RingMapping> Map(int memfd, uint32_t slot_count);

  RingMapping() = default;
  RingMapping(RingMapping&& other) noexcept { *this = std::move(other); }
  RingMapping& operator=(RingMapping&& other) noexcept;
  ~RingMapping();

  record::RingReader& reader() { return reader_; }

 private:
  void* memory_ = nullptr;
  size_t bytes_ = 0;
  record::RingReader reader_;
};

// The records in a file, as docs/record-format.md says.
class TraceFile {
 public:
  // Overwrites. On failure nothing is kept, and error() says why.
  void Open(const std::string& path, int64_t pid);
  void Write(const record::Record* records, size_t count);
  void Close();
  const std::string& path() const { return path_; }  // empty: never opened
  const std::string& error() const { return error_; }

 private:
  struct Closer {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  void Fail(const char* what);

  std::string path_;
  std::unique_ptr<std::FILE, Closer> file_;
  std::unique_ptr<record::TraceWriter> writer_;  // borrows file_
  std::string error_;
};

// Not thread-safe.
class Process {
 public:
  // `pid` as the kernel tells it of the peer. `requests`: null where the job's own outermost ranges are its requests.
  Process(int64_t pid, UniqueFd socket, RingMapping ring, attribution::Options options,
          std::unique_ptr<RequestCounter> requests) noexcept;

  int64_t pid() const { return pid_; }
  int socket() const { return socket_.get(); }
  bool is_connected() const { return socket_.valid(); }
  TraceFile& trace() { return trace_; }

  // Folds what is in the ring, at most `limit` records; the number of them.
  size_t Drain(size_t limit);
  // The peer has gone, or is to go: folds the rest and gives ring and connection back. Nothing is recorded after it.
  void Disconnect();
  void Send(const record::Control& control);

  const attribution::Attribution& attribution() const { return attribution_; }
  // Of the counter; nullopt: it counts none.
  std::optional<int64_t> CountedRequests() const;

  // REQUIRES: disconnected; called once.
  attribution::Result Finish() { return attribution_.Finish(); }

 private:
  void Fold(const record::Record* records, size_t count);

  const int64_t pid_;
  UniqueFd socket_;
  RingMapping ring_;
  TraceFile trace_;
  attribution::Attribution attribution_;
  const std::unique_ptr<RequestCounter> requests_;
  int64_t seen_until_ns_ = 0;  // whatever was written before has been folded
};

}  // namespace dsocr::collect

#endif  // DSOCR_DAEMON_COLLECT_PROCESS_H_
