// Modules as an agent tells them.
#ifndef DSOCR_TESTS_DAEMON_ATTACH_JOB_MODULES_H_
#define DSOCR_TESTS_DAEMON_ATTACH_JOB_MODULES_H_

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "cupti/attribution/attribution.h"

namespace dsocr::attach {

// tests/golden/job_modules/`name`.
inline std::vector<attribution::JobModule> GoldenModules(const std::string& name) {
  std::ifstream file(std::string(DSOCR_SOURCE_DIR) + "/tests/golden/job_modules/" + name);
  std::vector<attribution::JobModule> modules;
  for (std::string line; std::getline(file, line);) {
    std::istringstream columns(line);
    attribution::JobModule module;
    std::string shape;
    std::string parameters;
    std::getline(columns, module.path, '\t');
    std::getline(columns, module.type, '\t');
    std::getline(columns, shape, '\t');
    std::getline(columns, parameters, '\t');
    module.path = module.path == "." ? "" : module.path;
    std::istringstream sizes(shape);
    for (std::string size; std::getline(sizes, size, ',');) {
      module.weight_shape.push_back(static_cast<uint32_t>(std::stoul(size)));
    }
    module.parameters = std::stoull(parameters);
    modules.push_back(std::move(module));
  }
  return modules;
}

}  // namespace dsocr::attach

#endif  // DSOCR_TESTS_DAEMON_ATTACH_JOB_MODULES_H_
