// A model small enough for unit tests, with every kind of layer in it: windowed and global SAM blocks, dense and expert
// layers.
#ifndef DSOCR_TESTS_MODEL_TINY_MODEL_H_
#define DSOCR_TESTS_MODEL_TINY_MODEL_H_

#include <filesystem>

#include "model/config.h"

namespace dsocr::model {

inline std::filesystem::path FixtureDir(const char* name) {
  return std::filesystem::path(DSOCR_SOURCE_DIR) / "tests/golden/fixtures" / name;
}

// Crops of 160 besides a global view of 256; 1 dense and 2 expert layers of 8 experts.
inline ModelConfig TinyConfig() { return LoadModelConfig(FixtureDir("tiny_a")); }

}  // namespace dsocr::model

#endif  // DSOCR_TESTS_MODEL_TINY_MODEL_H_
