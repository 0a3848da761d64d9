// Operator calls as a job made them, with the module that called each by the job's own word.
#ifndef DSOCR_TESTS_DAEMON_ATTACH_GOLDEN_CALLS_H_
#define DSOCR_TESTS_DAEMON_ATTACH_GOLDEN_CALLS_H_

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "cupti/record/record.h"

namespace dsocr::attach {

struct GoldenCall {
  std::string name;
  bool has_shape = false;
  record::OperatorShape shape{};
  int64_t duration_ns = 0;
  std::string module;
};

// "2,8,64 64,64"; elements of four bytes.
inline record::OperatorShape ShapeOf(const std::string& text) {
  record::OperatorShape shape{};
  std::istringstream tensors(text);
  std::string sizes;
  for (int tensor = 0; tensor < 2 && tensors >> sizes; ++tensor) {
    std::istringstream in(sizes);
    for (std::string size; std::getline(in, size, ',');) {
      shape.sizes[tensor][shape.rank[tensor]++] = static_cast<uint32_t>(std::stoul(size));
    }
    shape.element_bytes[tensor] = 4;
  }
  return shape;
}

inline GoldenCall Call(const std::string& name, const std::string& sizes = "-", int64_t duration_ns = 1000,
                       std::string module = "") {
  GoldenCall call{.name = "aten::" + name, .duration_ns = duration_ns, .module = std::move(module)};
  call.has_shape = sizes != "-";
  call.shape = call.has_shape ? ShapeOf(sizes) : call.shape;
  return call;
}

// tests/golden/operators/`name`.
inline std::vector<GoldenCall> GoldenCalls(const std::string& name) {
  std::ifstream file(std::string(DSOCR_SOURCE_DIR) + "/tests/golden/operators/" + name);
  std::vector<GoldenCall> calls;
  for (std::string line; std::getline(file, line);) {
    std::istringstream columns(line);
    std::string operator_name, sizes, duration, module;
    std::getline(columns, operator_name, '\t');
    std::getline(columns, sizes, '\t');
    std::getline(columns, duration, '\t');
    std::getline(columns, module, '\t');
    calls.push_back(Call(operator_name, sizes, std::stoll(duration), module));
  }
  return calls;
}

}  // namespace dsocr::attach

#endif  // DSOCR_TESTS_DAEMON_ATTACH_GOLDEN_CALLS_H_
