#include "daemon/catalog/models.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "base/status.h"
#include "base/suggest.h"
#include "fmt/format.h"

namespace dsocr::catalog {
namespace {

using analytic::ModelSpec;

constexpr std::string_view kModelsList = "'dsocrctl models' lists them";

// NOT_FOUND for a name that no model has.
absl::Status CheckKnown(std::string_view what, std::string_view name, std::string ModelSpec::*member) {
  std::vector<std::string> names;
  for (const ModelSpec& model : analytic::ModelCatalogue()) {
    names.push_back(model.*member);
  }
  if (name.empty() || std::find(names.begin(), names.end(), name) != names.end()) {
    return absl::OkStatus();
  }
  return absl::NotFoundError(
      fmt::format("no {} '{}': not in the catalogue{}", what, name, DidYouMean(name, names, kModelsList)));
}

std::filesystem::path ShareDir() {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  return program.parent_path().parent_path() / "share/dsocr";
}

}  // namespace

absl::StatusOr<ModelSpec> FindModel(std::string_view model_id, std::string_view variant) {
  DSOCR_RETURN_IF_ERROR(CheckKnown("model", model_id, &ModelSpec::model_id));
  DSOCR_RETURN_IF_ERROR(CheckKnown("model variant", variant, &ModelSpec::variant));
  for (const ModelSpec& model : analytic::ModelCatalogue()) {
    if ((model_id.empty() || model_id == model.model_id) && (variant.empty() || variant == model.variant)) {
      return model;
    }
  }
  return absl::InvalidArgumentError(
      fmt::format("model_variant '{}': not a variant of '{}'; {}", variant, model_id, kModelsList));
}

absl::StatusOr<LoadedModel> ChooseModel(std::string_view model_id, std::string_view variant,
                                        const std::string& model_dir) {
  DSOCR_ASSIGN_OR_RETURN(ModelSpec named, FindModel(model_id, variant));
  if (model_dir.empty()) {
    std::string config_path = BuiltInConfigPath(named.variant);
    return LoadedModel{.spec = std::move(named), .config_path = std::move(config_path), .hf_revision = std::nullopt};
  }
  DSOCR_ASSIGN_OR_RETURN(LoadedModel model, LoadModel(model_dir));
  const bool is_named = !model_id.empty() || !variant.empty();
  if (is_named && model.spec.variant != named.variant) {
    return absl::InvalidArgumentError(fmt::format("model_variant '{}': '{}' is of {}; give that variant, or none",
                                                  named.variant, model.config_path, model.spec.variant));
  }
  return model;
}

absl::StatusOr<ModelSpec> ModelOf(const v1::DeepSeekOCRModelSpec& model) {
  const std::filesystem::path config = model.config_path();
  std::error_code error;
  if (config.filename() != "config.json" || !std::filesystem::exists(config, error)) {
    return FindModel(model.model_id(), model.model_variant());
  }
  DSOCR_ASSIGN_OR_RETURN(LoadedModel loaded, LoadModel(config.parent_path().string()));
  return std::move(loaded.spec);
}

bool IsExecutable(const ModelSpec& model) { return std::holds_alternative<analytic::ClipSpec>(model.encoder); }

std::string BuiltInConfigPath(std::string_view variant) { return ShareDir() / fmt::format("{}.json", variant); }

std::string SmallModelDir() { return ShareDir() / "small"; }

bool HasWeights(std::string_view model_dir) { return !model_dir.empty() && model_dir != SmallModelDir(); }

}  // namespace dsocr::catalog
