// The flags that say what is predicted or run, shared by run and analyze, and the request they make.
#ifndef DSOCR_CLIENT_COMMAND_REQUEST_H_
#define DSOCR_CLIENT_COMMAND_REQUEST_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/command_line.h"
#include "client/io.h"
#include "dsocr/v1/analytic.pb.h"

namespace dsocr::client {

std::vector<Flag> WorkloadFlags();  // sizes of the workload: --page, --base-size, …
std::vector<Flag> RequestFlags();   // model, workload profile and file, dtype, and WorkloadFlags

// INVALID_ARGUMENT for a workload file that cannot be read.
absl::StatusOr<v1::WorkloadOverrides> MakeOverrides(const CommandLine& line, const Io& io);

Flag ArtifactsDirFlag();
// --artifacts-dir, else DSOCR_ARTIFACTS_DIR, else tmp/profile-output below the working directory; absolute.
std::string ArtifactsRoot(const CommandLine& line, const Io& io);

// Paths become absolute. What is not given stays empty where the daemon has a default.
absl::StatusOr<v1::DeepSeekOCRAnalyticRequest> MakeRequest(const CommandLine& line, const Io& io);

// Of an argument that is an id or a file: whether it has a slash or the ending of a document, or is a file there. A
// directory may have the name of a run.
bool NamesFile(const Io& io, const std::string& argument);

// The whole of a file of at most `max_bytes`. INVALID_ARGUMENT, naming `what` and the path.
absl::StatusOr<std::string> ReadFile(const std::string& what, const std::string& path, size_t max_bytes);

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_COMMAND_REQUEST_H_
