// The operations of a stored trace that a range launched, by name:
//
//   trace_operations FILE RANGE
//
// prints {"gpu": {NAME: [count, sum of ns], …}, "cpu": {…}}: kernels, copies and sets; outermost operator calls. Ranges
// of this name count wherever they stand, with all that is inside them. Exit code 1 where FILE is no whole trace, 2 for
// wrong usage.
#include <algorithm>
#include <cstdio>
#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>

#include "cupti/record/trace_file.h"

namespace {

using namespace dsocr::record;

struct Sum {
  long count = 0;
  long ns = 0;
};

class Operations {
 public:
  explicit Operations(std::string range) : range_(std::move(range)) {}

  void Take(const Record& record) {
    switch (record.kind) {
      case Kind::kNameDefinition:
        TakeName(record.name_definition);
        break;
      case Kind::kPathDefinition: {
        const PathDefinition& path = record.path_definition;
        is_below_[path.path] = is_below_[path.parent] || names_[path.name] == range_;
        break;
      }
      case Kind::kCpuOperation:
        Add(record.operation, &cpu_);
        break;
      case Kind::kKernel:
      case Kind::kCopy:
      case Kind::kSet:
        Add(record.operation, &gpu_);
        break;
      default:
        break;
    }
  }

  void Print() const {
    std::printf("{\"gpu\": ");
    Print(gpu_);
    std::printf(", \"cpu\": ");
    Print(cpu_);
    std::printf("}\n");
  }

 private:
  using Sums = std::map<std::string, Sum>;

  void TakeName(const NameDefinition& piece) {
    std::string& name = names_[piece.name];
    if (piece.offset == 0) {
      name.clear();
    }
    const size_t missing = piece.total_bytes - std::min<size_t>(piece.total_bytes, name.size());
    name.append(piece.bytes, std::min(sizeof(piece.bytes), missing));
  }

  void Add(const Operation& operation, Sums* sums) {
    if (is_below_[OwnerPath(operation.owner)]) {
      Sum& sum = (*sums)[names_[operation.name]];
      ++sum.count;
      sum.ns += operation.end_ns - operation.start_ns;
    }
  }

  static void Print(const Sums& sums) {
    const char* separator = "{";
    for (const auto& [name, sum] : sums) {
      std::printf("%s\"", separator);
      for (const char c : name) {
        std::printf(c == '"' || c == '\\' ? "\\%c" : "%c", static_cast<unsigned char>(c) < 0x20 ? '?' : c);
      }
      std::printf("\": [%ld, %ld]", sum.count, sum.ns);
      separator = ", ";
    }
    std::printf(sums.empty() ? "{}" : "}");
  }

  const std::string range_;
  std::unordered_map<NameId, std::string> names_;
  std::unordered_map<PathId, bool> is_below_;
  Sums gpu_;
  Sums cpu_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: trace_operations FILE RANGE\n");
    return 2;
  }
  std::FILE* file = std::fopen(argv[1], "rbe");
  if (file == nullptr) {
    std::perror(argv[1]);
    return 1;
  }
  TraceReader reader(file);
  Operations operations(argv[2]);
  for (std::span<const Record> records = reader.Next(); !records.empty(); records = reader.Next()) {
    for (const Record& record : records) {
      operations.Take(record);
    }
  }
  std::fclose(file);
  if (reader.state() != TraceReader::State::kEnd) {
    std::fprintf(stderr, "trace_operations: error: %s: no whole trace; it was read up to byte %ld\n", argv[1],
                 static_cast<long>(reader.offset()));
    return 1;
  }
  operations.Print();
  return 0;
}
