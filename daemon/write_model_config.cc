// Writes the published model configurations into a directory, at build time: what config_path of a report names without
// --model.
#include <cstdio>
#include <fstream>
#include <string>

#include "analytic/model_spec.h"
#include "daemon/catalog/model_config.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: dsocr_write_model_config DIRECTORY\n", stderr);
    return 2;
  }
  for (const dsocr::analytic::ModelSpec& model : dsocr::analytic::ModelCatalogue()) {
    std::ofstream file(std::string(argv[1]) + "/" + model.variant + ".json");
    file << dsocr::catalog::ModelConfigJson(model) << std::flush;
    if (!file) {
      return 1;
    }
  }
  return 0;
}
