// Workloads of a request: a catalogue profile or a whole profile of the caller's, with single values overridden.
//
// Pure functions; safe from any thread.
#ifndef DSOCR_DAEMON_CATALOG_WORKLOAD_FILE_H_
#define DSOCR_DAEMON_CATALOG_WORKLOAD_FILE_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "analytic/model_spec.h"
#include "analytic/workload.h"
#include "dsocr/v1/analytic.pb.h"
#include "dsocr/v1/catalog.pb.h"

namespace dsocr::catalog {

// The workload to predict and to run, checked against `model`. `dtype`: fp32, bf16 or empty for the profile's.
//
// A profile of the catalogue is fitted to the model: its crops have the model's tile, and where the model makes more
// image tokens of the page than the prompt holds, the prompt grows and keeps its text tokens. A caller's own is not.
//
// A value that differs from the profile's shows in the id: "dsocr-tiny-v1+max_new_tokens=8,seq_len=200", keys sorted;
// crop_mode is 0 or 1. In overrides.profile, 0 and "" stand for: page as large as image_size, batch 1, one page,
// mixed_layout, bf16; crop_grid and image_tokens follow from the rest and must agree where they are given.
//
// Errors: NOT_FOUND for an unknown profile (with the nearest name); INVALID_ARGUMENT, naming field and value, for
// everything else.
absl::StatusOr<analytic::Workload> ResolveWorkload(const analytic::ModelSpec& model, std::string_view profile_id,
                                                   const v1::WorkloadOverrides& overrides, std::string_view dtype = "");

// A whole profile, yet to be checked against a model. Where 0 and "" stand for something: as in ResolveWorkload.
// INVALID_ARGUMENT for an id of strange characters, another dtype, and a batch that is not 1.
absl::StatusOr<analytic::Workload> WorkloadOf(const v1::OCRWorkloadProfile& profile);

// The profile as contracts show it; crop_grid and image_tokens filled in. REQUIRES: CheckPage(model, workload) is OK.
v1::OCRWorkloadProfile ProfileOf(const analytic::ModelSpec& model, const analytic::Workload& workload);

// `dsocrctl workloads describe`: how a page is laid out. As ResolveWorkload, but a seq_len too short for the page is no
// error.
absl::StatusOr<v1::WorkloadDescription> DescribeWorkload(const analytic::ModelSpec& model, std::string_view profile_id,
                                                         const v1::WorkloadOverrides& overrides);

absl::StatusOr<analytic::Precision> ParseDtype(std::string_view name);  // "fp32", "bf16"

}  // namespace dsocr::catalog

#endif  // DSOCR_DAEMON_CATALOG_WORKLOAD_FILE_H_
