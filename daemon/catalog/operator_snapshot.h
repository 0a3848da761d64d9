// A snapshot of the classes that a model is made of: the TorchInfo artifacts in a directory, as `dsocr-runner
// torchinfo` or another project wrote them.
//
// The files are anybody's: what is wrong with one is INVALID_ARGUMENT, one line that names the file and the place in
// it.
#ifndef DSOCR_DAEMON_CATALOG_OPERATOR_SNAPSHOT_H_
#define DSOCR_DAEMON_CATALOG_OPERATOR_SNAPSHOT_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dsocr/v1/operators.pb.h"
#include "dsocr/v1/report.pb.h"

namespace dsocr::catalog {

inline constexpr std::string_view kLayersJson = "torchinfo-unique-layers.json";
inline constexpr std::string_view kLayersMarkdown = "torchinfo-unique-layers.md";
inline constexpr std::string_view kStagesJson = "torchinfo-stages.json";
inline constexpr std::string_view kSummary = "torchinfo-summary.txt";

// Artifacts by the names above.
using ArtifactTexts = std::map<std::string, std::string>;

// The classes of torchinfo-unique-layers.json, each with its category: by its name, else, where the name says nothing,
// the first in the documented list among those of the classes below it, else `other`. A list is sorted by qualified
// name; snapshot_id and the paths are left empty. INVALID_ARGUMENT "PATH: VALUE: REASON".
absl::StatusOr<v1::TargetOperatorList> ParseUniqueLayers(std::string_view json_text);

// The names of the files above that `directory` lacks. INVALID_ARGUMENT if it is no absolute path of a directory that
// can be read.
absl::StatusOr<std::vector<std::string>> MissingArtifacts(const std::string& directory);

// The artifacts `names` of a directory. INVALID_ARGUMENT for one that is not there, is no plain file or has over 16
// MiB.
absl::StatusOr<ArtifactTexts> ReadArtifacts(const std::string& directory, const std::vector<std::string>& names);

// The operator list of the artifacts in `directory`, an absolute path. What it lacks comes from `substitutes`, and has
// the path "" until PlaceSubstitutes; a list that neither has is INVALID_ARGUMENT too.
absl::StatusOr<v1::TargetOperatorList> LoadOperatorSnapshot(const std::string& directory,
                                                            const ArtifactTexts& substitutes = {});

// Says where the substitutes were written.
void PlaceSubstitutes(const std::string& directory, v1::TargetOperatorList* list);

// The operator categories of contracts, with the classes of `operators` in place of the built-in ones. Each class is in
// one category.
std::vector<v1::OperatorCategory> CategoriesOf(const v1::TargetOperatorList& operators);

}  // namespace dsocr::catalog

#endif  // DSOCR_DAEMON_CATALOG_OPERATOR_SNAPSHOT_H_
