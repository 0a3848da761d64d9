// Noise as it was recorded (tests/golden/validate), and trials of the regression test drawn from it.
#ifndef DSOCR_TESTS_DAEMON_VALIDATE_RECORDED_NOISE_H_
#define DSOCR_TESTS_DAEMON_VALIDATE_RECORDED_NOISE_H_

#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "dsocr/v1/verdict.pb.h"

namespace dsocr::validate {

// Rows "module_id,operator_category,ns,ns,…", one number a repeat. Aborts on anything else: it is a file of ours.
v1::RunRepeats ReadRecording(const std::string& path);

// The modules, groups of the tree included, whose own and children's time is `min_share` to half of the request's, with
// that share.
std::vector<std::pair<std::string, double>> MainModules(const v1::RunRepeats& recording, double min_share);

// `count` repeats, drawn as blocks of `block` consecutive ones from anywhere in the recording.
v1::RunRepeats Resample(const v1::RunRepeats& recording, int count, int block, std::mt19937_64* random);

// Makes one module, and all below it, slower: 0.05 is 5 %.
void SlowDown(const std::string& module_id, double by, v1::RunRepeats* repeats);

}  // namespace dsocr::validate

#endif  // DSOCR_TESTS_DAEMON_VALIDATE_RECORDED_NOISE_H_
