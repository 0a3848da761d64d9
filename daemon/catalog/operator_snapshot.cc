#include "daemon/catalog/operator_snapshot.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "analytic/category.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "daemon/catalog/operator_class.h"
#include "daemon/catalog/sha256.h"
#include "fmt/format.h"
#include "proto/document.h"

namespace dsocr::catalog {
namespace {

using analytic::CategoryId;

// Far above any model. Both bound what a snapshot adds to a report: about 1 MiB.
constexpr int kMaxClasses = 4096;
constexpr size_t kMaxNameBytes = 256;

absl::Status WrongAt(std::string_view path, std::string_view value, std::string_view why) {
  return absl::InvalidArgumentError(fmt::format("{}: {}: {}", path, value, why));
}

absl::Status BadFile(const std::filesystem::path& path, std::string_view why) {
  return absl::InvalidArgumentError(
      fmt::format("operator_snapshot: '{}': {}; make it with 'dsocr-runner torchinfo --out DIR'", path.string(), why));
}

absl::Status CheckName(std::string_view path, const std::string& name) {
  if (name.empty() || name.size() > kMaxNameBytes) {
    return WrongAt(path, fmt::format("{} bytes", name.size()), fmt::format("a class name has 1 to {}", kMaxNameBytes));
  }
  return absl::OkStatus();
}

// Index of each class by its qualified name.
using ClassIndex = absl::flat_hash_map<std::string_view, int>;

absl::StatusOr<ClassIndex> IndexClasses(const v1::TorchInfoLayers& info) {
  if (info.layers().empty() || info.layers_size() > kMaxClasses) {
    return WrongAt("layers", fmt::format("{} classes", info.layers_size()),
                   fmt::format("a snapshot has 1 to {}", kMaxClasses));
  }
  ClassIndex index;
  for (int i = 0; i < info.layers_size(); ++i) {
    const v1::TorchInfoLayer& layer = info.layers(i);
    const std::string path = fmt::format("layers[{}].class_name", i);
    DSOCR_RETURN_IF_ERROR(CheckName(path, layer.class_name()));
    DSOCR_RETURN_IF_ERROR(CheckName(path + "_qualified", layer.class_name_qualified()));
    if (!index.emplace(layer.class_name_qualified(), i).second) {
      return WrongAt(path + "_qualified", layer.class_name_qualified(), "this class stands twice");
    }
  }
  for (int i = 0; i < info.layers_size(); ++i) {
    for (int c = 0; c < info.layers(i).children_size(); ++c) {
      const std::string& child = info.layers(i).children(c);
      if (!index.contains(child)) {
        return WrongAt(fmt::format("layers[{}].children[{}]", i, c), child.substr(0, kMaxNameBytes),
                       "no class of the snapshot has this name");
      }
    }
  }
  return index;
}

// Categories spread from the named classes to the unnamed ones above them, the first of the list before the next, so
// each class is visited once.
std::vector<CategoryId> Classify(const v1::TorchInfoLayers& info, const ClassIndex& index) {
  std::vector<std::optional<CategoryId>> category(info.layers_size());
  std::vector<std::vector<int>> parents(info.layers_size());
  std::vector<std::vector<int>> named(analytic::kCategoryCount);
  for (int i = 0; i < info.layers_size(); ++i) {
    category[i] = CategoryOfClassName(info.layers(i).class_name());
    if (category[i]) {
      named[static_cast<size_t>(*category[i])].push_back(i);
    }
    for (const std::string& child : info.layers(i).children()) {
      parents[index.at(child)].push_back(i);
    }
  }
  for (std::vector<int>& open : named) {
    while (!open.empty()) {
      const int i = open.back();
      open.pop_back();
      for (const int parent : parents[i]) {
        if (!category[parent]) {
          category[parent] = category[i];
          open.push_back(parent);
        }
      }
    }
  }
  std::vector<CategoryId> result;
  for (const std::optional<CategoryId>& found : category) {
    result.push_back(found.value_or(CategoryId::kOther));
  }
  return result;
}

absl::StatusOr<v1::TargetOperatorList> ListOperators(const v1::TorchInfoLayers& info) {
  DSOCR_ASSIGN_OR_RETURN(const ClassIndex index, IndexClasses(info));
  const std::vector<CategoryId> categories = Classify(info, index);
  v1::TargetOperatorList list;
  for (int i = 0; i < info.layers_size(); ++i) {
    const v1::TorchInfoLayer& layer = info.layers(i);
    v1::OperatorSpec& spec = *list.add_operators();
    spec.set_class_name(layer.class_name());
    spec.set_class_name_qualified(layer.class_name_qualified());
    spec.set_is_pytorch_builtin(layer.is_torch_builtin());
    spec.set_is_custom(!layer.is_torch_builtin());
    *spec.mutable_children_classes() = layer.children();
    spec.set_default_category_id(std::string(analytic::CategoryName(categories[i])));
  }
  std::sort(list.mutable_operators()->begin(), list.mutable_operators()->end(),
            [](const v1::OperatorSpec& a, const v1::OperatorSpec& b) {
              return a.class_name_qualified() < b.class_name_qualified();
            });
  return list;
}

// At most the bytes that a document may have; more are refused before they are read. What is no plain file (a pipe that
// never ends, a device) is not read at all.
absl::StatusOr<std::string> ReadArtifact(const std::filesystem::path& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info;
  if (!fd.valid() || fstat(fd.get(), &info) != 0) {
    return BadFile(path, std::strerror(errno));
  }
  if (!S_ISREG(info.st_mode)) {
    return BadFile(path, "not a plain file");
  }
  if (info.st_size > static_cast<off_t>(document::kMaxBytes)) {
    return BadFile(path, fmt::format("{} bytes, at most {} are read", info.st_size, document::kMaxBytes));
  }
  std::string text(static_cast<size_t>(info.st_size), '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t count = read(fd.get(), text.data() + size, text.size() - size);
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      return BadFile(path, std::strerror(errno));
    }
    if (count == 0) {
      break;  // it has shrunk
    }
    size += static_cast<size_t>(count);
  }
  text.resize(size);
  return text;
}

absl::Status ParseArtifact(const std::filesystem::path& path, const std::string& text,
                           google::protobuf::Message* message) {
  const absl::Status parsed = document::ParseForeign(text, document::Format::kJson, message);
  return parsed.ok() ? parsed : BadFile(path, std::string(parsed.message()));
}

}  // namespace

absl::StatusOr<v1::TargetOperatorList> ParseUniqueLayers(std::string_view json_text) {
  v1::TorchInfoLayers info;
  DSOCR_RETURN_IF_ERROR(document::ParseForeign(json_text, document::Format::kJson, &info));
  return ListOperators(info);
}

absl::StatusOr<std::vector<std::string>> MissingArtifacts(const std::string& directory) {
  struct stat info;
  if (!directory.starts_with('/')) {
    return BadFile(directory, "not an absolute path");
  }
  if (stat(directory.c_str(), &info) != 0) {
    return BadFile(directory, std::strerror(errno));
  }
  if (!S_ISDIR(info.st_mode)) {
    return BadFile(directory, "not a directory");
  }
  std::vector<std::string> missing;
  for (const std::string_view name : {kLayersJson, kLayersMarkdown, kStagesJson, kSummary}) {
    const std::string path = (std::filesystem::path(directory) / name).string();
    if (stat(path.c_str(), &info) != 0) {
      if (errno != ENOENT) {
        return BadFile(path, std::strerror(errno));
      }
      missing.emplace_back(name);
    }
  }
  return missing;
}

absl::StatusOr<ArtifactTexts> ReadArtifacts(const std::string& directory, const std::vector<std::string>& names) {
  ArtifactTexts texts;
  for (const std::string& name : names) {
    DSOCR_ASSIGN_OR_RETURN(texts[name], ReadArtifact(std::filesystem::path(directory) / name));
  }
  return texts;
}

absl::StatusOr<v1::TargetOperatorList> LoadOperatorSnapshot(const std::string& directory,
                                                            const ArtifactTexts& substitutes) {
  const auto path_of = [&](std::string_view name) {
    return std::filesystem::path(directory).lexically_normal() / name;
  };
  DSOCR_RETURN_IF_ERROR(MissingArtifacts(directory).status());
  ArtifactTexts texts = substitutes;
  for (const std::string_view name : {kLayersJson, kLayersMarkdown, kStagesJson}) {
    if (!substitutes.contains(std::string(name))) {
      DSOCR_ASSIGN_OR_RETURN(texts[std::string(name)], ReadArtifact(path_of(name)));
    }
  }
  v1::TorchInfoLayers info;
  v1::TorchInfoStages stages;
  DSOCR_RETURN_IF_ERROR(ParseArtifact(path_of(kLayersJson), texts[std::string(kLayersJson)], &info));
  DSOCR_RETURN_IF_ERROR(ParseArtifact(path_of(kStagesJson), texts[std::string(kStagesJson)], &stages));
  if (!stages.has_stages()) {
    return BadFile(path_of(kStagesJson), "stages: \"stages\": this key is missing");
  }
  absl::StatusOr<v1::TargetOperatorList> list = ListOperators(info);
  if (!list.ok()) {
    return BadFile(path_of(kLayersJson), std::string(list.status().message()));
  }
  // When and where the artifacts were made says nothing about the model.
  info.clear_generated_at();
  stages.clear_generated_at();
  list->set_snapshot_id(Sha256Hex(document::ToJson(info) + document::ToJson(stages)));
  list->set_source_artifact_dir(std::filesystem::path(directory).lexically_normal().string());
  const auto place_of = [&](std::string_view name) {
    return substitutes.contains(std::string(name)) ? "" : path_of(name).string();
  };
  list->set_layers_md_path(place_of(kLayersMarkdown));
  list->set_layers_json_path(place_of(kLayersJson));
  list->set_stages_json_path(place_of(kStagesJson));
  return list;
}

void PlaceSubstitutes(const std::string& directory, v1::TargetOperatorList* list) {
  const auto place = [&](std::string_view name, std::string* path) {
    if (path->empty()) {
      *path = (std::filesystem::path(directory) / name).string();
    }
  };
  place(kLayersMarkdown, list->mutable_layers_md_path());
  place(kLayersJson, list->mutable_layers_json_path());
  place(kStagesJson, list->mutable_stages_json_path());
}

std::vector<v1::OperatorCategory> CategoriesOf(const v1::TargetOperatorList& operators) {
  std::vector<v1::OperatorCategory> categories;
  absl::flat_hash_map<std::string_view, size_t> index;
  for (const analytic::Category& category : analytic::Categories()) {
    index.emplace(category.id, categories.size());
    v1::OperatorCategory& entity = categories.emplace_back();
    entity.set_category_id(std::string(category.id));
    entity.set_display_name(std::string(category.display_name));
    entity.set_description(std::string(category.description));
  }
  for (const v1::OperatorSpec& spec : operators.operators()) {
    categories[index.at(spec.default_category_id())].add_match_classes(spec.class_name_qualified());
  }
  return categories;
}

}  // namespace dsocr::catalog
