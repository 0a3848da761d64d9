// Suites: what `dsocrctl validate` predicts, runs and judges. docs/validation.md has the document.
//
// Pure functions; safe from any thread.
#ifndef DSOCR_DAEMON_VALIDATE_SUITE_H_
#define DSOCR_DAEMON_VALIDATE_SUITE_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "dsocr/v1/profile.pb.h"
#include "dsocr/v1/verdict.pb.h"

namespace dsocr::validate {

// The word for the small model of the installation in ValidationCase.model.
inline constexpr std::string_view kSmallModel = "small";

// For this machine. On a CPU: the small model, 30 repeats in a few seconds. On a GPU: the published one at two
// workloads, in a few minutes. `device` as ValidationCase.device, "cuda:N" for a GPU.
v1::ValidationSuite BuiltInSuite(std::string_view device);

// The suite with nothing left out: names, repeats, warm-up, and the bounds of each case.
//
// INVALID_ARGUMENT "PATH = VALUE: WHY; WHAT TO DO" ("cases[1].repeats = 0: …") for no case or over 100, a value out of
// range, a name that is there twice or is no word. Whether models, workloads and devices exist is for a run to say.
absl::StatusOr<v1::ValidationSuite> CompleteSuite(const v1::ValidationSuite& suite);

// The runs of a case: of best_of requests a repeat, and of as many whole repeats as a report keeps. Processes differ
// by a percent or two in where their memory lies, so a long case is better run in several, and is.
// REQUIRES: CompleteSuite gave it.
std::vector<v1::ModelRun> RunsOf(const v1::ValidationCase& of, const std::string& artifacts_root);

}  // namespace dsocr::validate

#endif  // DSOCR_DAEMON_VALIDATE_SUITE_H_
