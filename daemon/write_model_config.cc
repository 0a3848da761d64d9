// Writes the published model configuration to a file, at build time: what config_path of a report names without
// --model.
#include <cstdio>
#include <fstream>

#include "daemon/catalog/model_config.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: dsocr_write_model_config FILE\n", stderr);
    return 2;
  }
  std::ofstream file(argv[1]);
  file << dsocr::catalog::BuiltInConfigJson() << std::flush;
  return file ? 0 : 1;
}
