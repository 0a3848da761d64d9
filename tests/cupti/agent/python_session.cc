// A recording without a daemon, for Python jobs that load this library into themselves: the hooks on modules and the
// operator callbacks as the agent has them, on a ring that is written to a file.
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <vector>

#include "cupti/agent/python_hooks.h"
#include "cupti/agent/torch_ops.h"

#define DSOCR_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

using namespace dsocr;

agent::Recorder* recorder = nullptr;
record::RingReader reader;

void StartRanges() noexcept { agent::SetProcessRecorder(recorder); }

void StartRangesAndOperators() noexcept {
  StartRanges();
  agent::InstallTorchCallbacks();
}

}  // namespace

// A PythonState, or -1: no ring. `has_operators`: operator calls are recorded, too.
DSOCR_EXPORT int session_attach(int depth, int has_operators) {
  recorder = new agent::Recorder;
  const int fd = recorder->Start(record::kMaxRingSlots);
  struct stat file {};
  if (fd < 0 || fstat(fd, &file) != 0) {
    return -1;
  }
  recorder->Prefault();
  const auto size = static_cast<size_t>(file.st_size);
  void* const memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (memory == MAP_FAILED || !record::RingReader::Open(memory, size, &reader)) {
    return -1;
  }
  return static_cast<int>(agent::InstallPythonHooks(recorder, static_cast<record::Depth>(depth),
                                                    has_operators != 0 ? StartRangesAndOperators : StartRanges));
}

// Of a session that records operators: switches their callbacks off, and on again.
DSOCR_EXPORT void session_enable_operators(int enabled) { agent::EnableTorchCallbacks(enabled != 0); }

DSOCR_EXPORT void session_poll() { agent::PollPythonHooks(); }

// 1: everything is out again.
DSOCR_EXPORT int session_detach(int timeout_ms) {
  const bool is_removed = agent::RemovePythonHooks(timeout_ms);
  agent::RemoveTorchCallbacks();
  agent::PrepareToRetire();
  agent::RetireRecorder(timeout_ms);
  return is_removed ? 1 : 0;
}

// Writes the records as they are; how many.
DSOCR_EXPORT long session_records(const char* path) {
  std::FILE* const file = std::fopen(path, "wb");
  std::vector<record::Record> records(4096);
  long total = 0;
  for (size_t count; file != nullptr && (count = reader.Read(records.data(), records.size())) > 0;) {
    total += static_cast<long>(std::fwrite(records.data(), sizeof(record::Record), count, file));
  }
  return file != nullptr && std::fclose(file) == 0 ? total : -1;
}
