#include "daemon/attach/job_names.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

namespace dsocr::attach {
namespace {

// "layer[3]" -> "layer"
std::string_view WithoutIndex(std::string_view part) { return part.substr(0, part.find('[')); }

// A module that several layers share, such as a rotary embedding, has the path of the first: called in another one, it
// is part of that. `target`, with the beginning that it has in common with `around` but for indices as `around` has it.
std::string InPlaceOf(const std::string& target, const std::string& around) {
  size_t at = 0;  // in both, the end of a part
  size_t around_at = 0;
  while (around_at < around.size()) {
    const size_t end = std::min(target.find('/', at), target.size());
    const size_t around_end = std::min(around.find('/', around_at), around.size());
    if (end == target.size() || WithoutIndex(std::string_view(target).substr(at, end - at)) !=
                                    WithoutIndex(std::string_view(around).substr(around_at, around_end - around_at))) {
      return target;
    }
    at = end + 1;
    around_at = around_end + 1;
  }
  return around + target.substr(at - 1);
}

}  // namespace

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

TargetIndex JobNames::TargetOf(const std::string& module_path, TargetIndex around) {
  const auto is_node = [this](const std::string& id) { return node_of_range_.contains(id); };
  std::string text = model_.map.Find(module_path, is_node);
  if (text.empty()) {
    return kNoTarget;
  }
  if (around != kNoTarget && !targets_[around].is_root) {
    const std::string moved = InPlaceOf(text, targets_[around].text);
    text = is_node(InPhase(moved, Phase::kPrefill)) || is_node(InPhase(moved, Phase::kDecode)) ? moved : text;
  }
  const auto [known, is_new] = target_by_text_.try_emplace(text, static_cast<TargetIndex>(targets_.size()));
  if (!is_new) {
    return known->second;
  }
  MappedModule target{KindOf(text), text};
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
      path.target = TargetOf(std::string(*module_path), MappedAround(path.parent));
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

TargetIndex JobNames::MappedAround(record::PathId path) const {
  while (path != 0 && paths_[path].target == kNoTarget) {
    path = paths_[path].parent;
  }
  return paths_[path].target;
}

record::Owner JobNames::OwnerOfPath(record::PathId path) {
  const TargetIndex target = MappedAround(path);
  if (target == kNoTarget) {
    return 0;
  }
  record::PathId own = 0;
  for (const NodeIndex node : targets_[target].chain[static_cast<size_t>(Phase::kDecode)]) {
    own = writer_.PathBelow(own, RangeName(node));
  }
  return record::MakeOwner(own, 0);
}

}  // namespace dsocr::attach
