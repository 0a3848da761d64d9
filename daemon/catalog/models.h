// Which model a request means. Models are those of analytic::ModelCatalogue(), by id and variant.
//
// Safe from any thread.
#ifndef DSOCR_DAEMON_CATALOG_MODELS_H_
#define DSOCR_DAEMON_CATALOG_MODELS_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "analytic/model_spec.h"
#include "daemon/catalog/model_config.h"
#include "dsocr/v1/report.pb.h"

namespace dsocr::catalog {

// The published model of that id and variant; an empty one stands for any. NOT_FOUND, with the nearest name, for one
// that is not in the catalogue; INVALID_ARGUMENT for a variant of another model.
absl::StatusOr<analytic::ModelSpec> FindModel(std::string_view model_id, std::string_view variant);

// The model of a request: the built-in configuration, or where `model_dir` is not empty the one in that directory.
// Errors: FindModel's, LoadModel's, and INVALID_ARGUMENT where the directory holds another model than the named one.
absl::StatusOr<LoadedModel> ChooseModel(std::string_view model_id, std::string_view variant,
                                        const std::string& model_dir);

// The model of a report: its config.json where that still is there, else the one of the catalogue. Errors as above.
absl::StatusOr<analytic::ModelSpec> ModelOf(const v1::DeepSeekOCRModelSpec& model);

// Whether dsocr-runner has it. The others are predicted, and never run.
bool IsExecutable(const analytic::ModelSpec& model);

// <prefix>/share/dsocr/VARIANT.json of this installation.
std::string BuiltInConfigPath(std::string_view variant);

// <prefix>/share/dsocr/small of this installation: the config.json of a model that runs in a tenth of a second, for
// validating an installation. It has no weights; it runs with random ones.
std::string SmallModelDir();

// Whether a run takes its weights from `model_dir`, and not from a random seed.
bool HasWeights(std::string_view model_dir);

}  // namespace dsocr::catalog

#endif  // DSOCR_DAEMON_CATALOG_MODELS_H_
