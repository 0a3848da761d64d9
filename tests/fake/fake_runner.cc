// A stand-in for dsocr-runner that speaks docs/runner-protocol.md, and misbehaves on demand: the environment variable
// FAKE_RUNNER says how.
//
//   (unset)    a good run: loaded, warm-up and measured requests, done
//   sigkill    kills itself while measuring, as the kernel does when memory runs out
//   abort      dies of SIGABRT while loading
//   exit3      leaves with code 3 and the error line of a program that found no such thing
//   error      says "error" as the protocol wants it
//   garbage    sends a frame that is no JSON
//   giant      announces a frame of 4 GiB
//   truncated  ends in the middle of a frame
//   undone     ends without "done"
//   silent     says nothing and waits
//   stubborn   as silent, and ignores SIGTERM
//   untraced   a good run, but `analyze` dies
//
// The request it was sent goes, as it came, into the file that FAKE_RUNNER_REQUEST names.
#include <signal.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

namespace {

std::string Variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

void WriteAll(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (written <= 0) {
      std::exit(1);
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

std::string Header(uint32_t length) {
  std::string header;
  for (int shift = 0; shift < 32; shift += 8) {
    header += static_cast<char>(length >> shift & 0xff);
  }
  return header;
}

void Send(std::string_view json) { WriteAll(Header(static_cast<uint32_t>(json.size())) + std::string(json)); }

std::string ReadExactly(size_t count) {
  std::string bytes(count, '\0');
  for (size_t got = 0; got < count;) {
    const ssize_t n = ::read(STDIN_FILENO, bytes.data() + got, count - got);
    if (n <= 0) {
      std::exit(1);
    }
    got += static_cast<size_t>(n);
  }
  return bytes;
}

std::string ReadRequest() {
  const std::string header = ReadExactly(4);
  uint32_t length = 0;
  for (int i = 0; i < 4; ++i) {
    length |= static_cast<uint32_t>(static_cast<unsigned char>(header[static_cast<size_t>(i)])) << (8 * i);
  }
  return ReadExactly(length);
}

[[noreturn]] void WaitForEver() {
  while (true) {
    ::pause();
  }
}

int Serve() {
  const std::string request = ReadRequest();
  if (const std::string path = Variable("FAKE_RUNNER_REQUEST"); !path.empty()) {
    std::ofstream(path) << request;
  }
  const std::string mode = Variable("FAKE_RUNNER");
  std::fputs("fake runner talks\n", stderr);
  if (mode == "stubborn") {
    ::signal(SIGTERM, SIG_IGN);
  }
  if (mode == "silent" || mode == "stubborn") {
    WaitForEver();
  }
  if (mode == "exit3") {
    std::fputs("dsocr-runner: error: no device 'cuda:9': this machine has none; use cpu\n", stderr);
    return 3;
  }
  Send(R"({"event":"state","state":"loading","message":"loading weights","progress":0.5})");
  if (mode == "abort") {
    std::abort();
  }
  if (mode == "error") {
    Send(
        R"({"event":"error","code":"invalid_argument","what":"model '/m'","why":"tensor 'a' is short","todo":"fetch it anew"})");
    return 2;
  }
  Send(R"({"event":"loaded","parameters":7,"weight_bytes":14,"seconds":0.1,)"
       R"("device":{"name":"Fake CPU","kind":"cpu","driver":"","cores":2}})");
  Send(R"({"event":"prepared","seq_len":128,"image_tokens":73,"crop_grid":[1,1]})");
  Send(R"({"event":"state","state":"warmup","message":"warming up","progress":null})");
  Send(R"({"event":"request","index":0,"warmup":true,"wall_ns":2000000,"off_cpu_ns":0,"tokens":[1,2]})");
  Send(R"({"event":"state","state":"measuring","message":"measuring","progress":0})");
  if (mode == "sigkill") {
    ::kill(::getpid(), SIGKILL);
  }
  if (mode == "garbage") {
    Send("\xff\xfe{{{");
    WaitForEver();
  }
  if (mode == "giant") {
    WriteAll(Header(UINT32_MAX));
    WaitForEver();
  }
  if (mode == "truncated") {
    WriteAll(Header(100) + "{\"event\"");
    return 0;
  }
  Send(R"({"event":"request","index":1,"warmup":false,"wall_ns":1000000,"off_cpu_ns":0,"tokens":[1,2]})");
  if (mode != "undone") {
    Send(R"({"event":"done","text":null,"peak_rss_bytes":1000,"kv_cache_bytes":0})");
  }
  return 0;
}

int Inspect() {
  std::puts(R"({"page_width": 300, "page_height": 200, "text_tokens": null})");
  return 0;
}

// The request goes, as it came, into the file that FAKE_RUNNER_TRACE names.
int Analyze() {
  std::string request;
  for (int c = std::getchar(); c != EOF; c = std::getchar()) {
    request += static_cast<char>(c);
  }
  if (const std::string path = Variable("FAKE_RUNNER_TRACE"); !path.empty()) {
    std::ofstream(path) << request;
  }
  if (Variable("FAKE_RUNNER") == "untraced") {
    std::abort();
  }
  std::puts(R"({"seconds": 0.1, "extracted": {"error": "the fake traces nothing"}, "isolated": {)"
            R"("projector": {"ranges": {"projector/linear/matmul": {"flops": {"aten::mm": 10}, "activations": 5}}}}})");
  return 0;
}

int Calibrate() {
  std::puts(
      R"({"device": {"name": "Fake CPU", "kind": "cpu", "driver": "", "cores": 2}, "dtype": "bf16", "seconds": 0.1, "discarded_share": 0.25, "points": [)"
      R"({"category": "gemm", "name": "a", "flops": 1000000000, "vector_flops": 0, "bytes": 1000000, "launches": 1, "time_ns": 5000000},)"
      R"({"category": "gemm", "name": "b", "flops": 4000000000, "vector_flops": 0, "bytes": 4000000, "launches": 1, "time_ns": 20000000}]})");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "serve") {
    return Serve();
  }
  if (command == "inspect") {
    return Inspect();
  }
  if (command == "analyze") {
    return Analyze();
  }
  if (command == "version") {
    std::puts(R"({"torch": "2.0.0-fake"})");
    return 0;
  }
  if (command == "calibrate") {
    return Calibrate();
  }
  std::fputs("dsocr-runner: error: command: not one that the fake knows; see its source\n", stderr);
  return 2;
}
