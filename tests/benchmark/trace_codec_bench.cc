// Bytes on disk per kernel, and records a second on one core, both ways, of stored traces:
//
//   build/tests/trace_codec_bench
//   build/tests/trace_codec_bench --benchmark_filter=Write --benchmark_format=json
//
// bytes_per_operation is the whole file, ranges, definitions and headers included, by its kernels (CPU operations);
// alone_bytes_per_operation is of a file of the same kernels without ranges. Each duration and each gap jitters by
// itself, with a standard deviation of 64 ns (8.05 bits) or, where it says `mixed`, one of its own between 64 and 128.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <memory>
#include <vector>

#include "cupti/record/trace_file.h"
#include "tests/cupti/record/generated_trace.h"

namespace {

using namespace dsocr::record;

struct Closer {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, Closer>;

bool WriteTo(std::FILE* file, const std::vector<Record>& records) {
  std::rewind(file);
  TraceWriter writer(file);
  return writer.Begin(1) && writer.Write(records.data(), records.size()) && writer.Flush();
}

double BytesOf(const std::vector<Record>& records) {
  const File file(std::tmpfile());
  return WriteTo(file.get(), records) ? static_cast<double>(std::ftell(file.get())) : 0;
}

bool IsRange(const Record& record) { return record.kind == Kind::kRangePush || record.kind == Kind::kRangePop; }

void Write(benchmark::State& state, const GeneratedOptions& options) {
  const GeneratedTrace trace(options);
  std::vector<Record> alone;
  std::remove_copy_if(trace.records().begin(), trace.records().end(), std::back_inserter(alone), IsRange);
  const File file(std::tmpfile());
  for (auto _ : state) {
    if (!WriteTo(file.get(), trace.records())) {
      state.SkipWithError("the temporary file cannot be written");
      return;
    }
  }
  const auto operations = static_cast<double>(trace.operations());
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(trace.records().size()));
  state.counters["bytes_per_operation"] = BytesOf(trace.records()) / operations;
  state.counters["alone_bytes_per_operation"] = BytesOf(alone) / operations;
  state.counters["records_per_operation"] = static_cast<double>(trace.records().size()) / operations;
}

void Read(benchmark::State& state, const GeneratedOptions& options) {
  const GeneratedTrace trace(options);
  const File file(std::tmpfile());
  size_t records = WriteTo(file.get(), trace.records()) ? trace.records().size() : 0;
  for (auto _ : state) {
    std::rewind(file.get());
    TraceReader reader(file.get());
    size_t read = 0;
    for (auto block = reader.Next(); !block.empty(); block = reader.Next()) {
      read += block.size();
    }
    if (read != records) {
      state.SkipWithError("not all records came back");
      return;
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(records));
}

constexpr int kSteps = 500;  // as many tokens

#define DSOCR_TRACE(name, ...)                                                                 \
  BENCHMARK_CAPTURE(Write, name, GeneratedOptions{.steps = kSteps __VA_OPT__(, ) __VA_ARGS__}) \
      ->Unit(benchmark::kMillisecond);                                                         \
  BENCHMARK_CAPTURE(Read, name, GeneratedOptions{.steps = kSteps __VA_OPT__(, ) __VA_ARGS__})  \
      ->Unit(benchmark::kMillisecond)

DSOCR_TRACE(eager, .sigma_ns = 64);
DSOCR_TRACE(eager_in_order, .bulk = false, .sigma_ns = 64);
DSOCR_TRACE(eager_mixed);
DSOCR_TRACE(eager_four_streams, .streams = 4, .sigma_ns = 64);
DSOCR_TRACE(eager_two_threads, .threads = 2, .sigma_ns = 64);
DSOCR_TRACE(graph, .graph = true, .sigma_ns = 64);
DSOCR_TRACE(graph_mixed, .graph = true);
DSOCR_TRACE(graph_four_streams, .streams = 4, .graph = true, .sigma_ns = 64);
DSOCR_TRACE(cpu, .cpu = true, .sigma_ns = 64);
DSOCR_TRACE(cpu_two_threads, .threads = 2, .cpu = true, .sigma_ns = 64);

}  // namespace

BENCHMARK_MAIN();
