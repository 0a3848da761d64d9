// The little language that gpu_job plays: README.md describes it.
#ifndef DSOCR_TESTS_FAKE_GPU_SCRIPT_H_
#define DSOCR_TESTS_FAKE_GPU_SCRIPT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tests/fake/fake_gpu.h"

namespace dsocr::fake {

enum class Verb {
  kInit,
  kPush,
  kPop,
  kLaunch,
  kCopy,
  kSet,
  kSync,
  kAllocate,
  kFree,
  kOverhead,
  kCapture,
  kInstantiate,
  kGraphLaunch,
  kUpdate,
  kDestroy,
  kGraphId,
  kRange,
  kRepeat,
  kThread,
  kJoin,
  kSleep,
  kDeliver,
  kWaitFlush,
  kFault,
  kExit,
  kKill,
};

// A stream as the script names it, 7 or 2:7.
struct StreamRef {
  fake_gpu_stream_t handle = nullptr;
  size_t number = 0;  // among the script's streams
};

struct Statement {
  Verb verb;
  std::string name;   // range, graph, allocation, or a fault's text
  std::string other;  // the graph of an instantiation or update
  StreamRef stream;
  fake_gpu_function_t function = nullptr;
  fake_gpu_api api = FAKE_GPU_DRIVER;
  fake_gpu_copy_kind copy_kind = FAKE_GPU_HTOD;
  int64_t count = 0;  // repetitions, bytes, an id or an exit code
  int64_t duration_ns = 0;
  std::vector<Statement> body;
};

struct Script {
  std::vector<Statement> statements;
  struct Stream {
    uint32_t context;
    uint32_t id;
    fake_gpu_stream_t handle;
  };
  std::vector<Stream> streams;
};

// False: `error` says which line is wrong and why.
bool ParseScript(const std::string& text, Script* script, std::string* error);

}  // namespace dsocr::fake

#endif  // DSOCR_TESTS_FAKE_GPU_SCRIPT_H_
