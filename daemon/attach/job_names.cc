#include "daemon/attach/job_names.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

namespace dsocr::attach {

JobNames::JobNames(const RecognisedModel& model, const absl::flat_hash_map<std::string, int>& node_of_range,
                   RecordWriter& writer)
    : model_(model),
      node_of_range_(node_of_range),
      writer_(writer),
      root_(NodeOf("deepseek_ocr")),
      prefill_(NodeOf("prefill")),
      projector_(NodeOf("projector")),
      vision_(NodeOf("vision")) {}

NodeIndex JobNames::NodeOf(const std::string& id) {
  const auto [known, is_new] = node_by_id_.try_emplace(id, static_cast<NodeIndex>(nodes_.size()));
  if (is_new) {
    nodes_.push_back({.id = id});
  }
  return known->second;
}

TargetIndex JobNames::TargetOf(const std::string& module_path) {
  const std::string text =
      model_.map.Find(module_path, [this](const std::string& id) { return node_of_range_.contains(id); });
  if (text.empty()) {
    return kNoTarget;
  }
  const auto [known, is_new] = target_by_text_.try_emplace(text, static_cast<TargetIndex>(targets_.size()));
  if (!is_new) {
    return known->second;
  }
  MappedModule target{KindOf(text)};
  for (const Phase phase : {Phase::kPrefill, Phase::kDecode}) {
    std::vector<NodeIndex>& chain = target.chain[static_cast<size_t>(phase)];
    chain.push_back(root_);
    const std::string id = InPhase(target.is_root ? kPhase : text, phase);
    for (size_t end = 0; end < id.size();) {
      end = std::min(id.find('/', end + 1), id.size());
      // What one phase does not have is part of what is around it.
      if (const std::string above = id.substr(0, end); node_of_range_.contains(above)) {
        chain.push_back(NodeOf(above));
      }
    }
  }
  targets_.push_back(std::move(target));
  return known->second;
}

void JobNames::DefinePath(const record::PathDefinition& definition) {
  if (!dictionary_.DefinePath(definition)) {
    return;
  }
  JobPath path;
  path.parent = definition.parent;
  if (definition.is_module == 1) {
    const std::string& name = dictionary_.Text(definition.name);
    if (const std::optional<std::string_view> module_path = model_.PathOf(name)) {
      path.target = TargetOf(std::string(*module_path));
      path.module_path = name;
    }
  }
  paths_.push_back(std::move(path));
}

record::NameId JobNames::Translated(record::NameId name) {
  names_.resize(std::max<size_t>(names_.size(), name + 1));
  if (names_[name] == 0) {
    names_[name] = writer_.DefineName(dictionary_.Text(name));
  }
  return names_[name];
}

record::NameId JobNames::RangeName(NodeIndex index) {
  TreeNode& node = nodes_[index];
  if (node.name == 0) {
    node.name = writer_.DefineName(node.id);
  }
  return node.name;
}

record::Owner JobNames::OwnerOfPath(record::PathId path) {
  while (path != 0 && paths_[path].target == kNoTarget) {
    path = paths_[path].parent;
  }
  if (path == 0) {
    return 0;
  }
  record::PathId own = 0;
  for (const NodeIndex node : targets_[paths_[path].target].chain[static_cast<size_t>(Phase::kDecode)]) {
    own = writer_.PathBelow(own, RangeName(node));
  }
  return record::MakeOwner(own, 0);
}

}  // namespace dsocr::attach
