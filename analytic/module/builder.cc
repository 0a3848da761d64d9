#include "analytic/module/builder.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"

namespace dsocr::analytic {
namespace {

// The published model has 188 nodes under 1398 names.
constexpr size_t kUsualNodes = 256;
constexpr size_t kUsualNames = 1500;

std::string Join(const std::string& prefix, std::string_view name) {
  std::string path;
  path.reserve(prefix.size() + 1 + name.size());
  path = prefix;
  if (!prefix.empty()) {
    path += '/';
  }
  return path += name;
}

}  // namespace

std::vector<LayerGroup> GroupLayers(const std::vector<int>& kinds) {
  std::vector<LayerGroup> groups;
  for (size_t i = 0; i < kinds.size(); ++i) {
    auto group = std::find_if(groups.begin(), groups.end(), [&](const LayerGroup& g) { return g.kind == kinds[i]; });
    if (group == groups.end()) {
      group = groups.insert(groups.end(), LayerGroup{kinds[i], {}});
    }
    group->indices.push_back(static_cast<int64_t>(i));
  }
  return groups;
}

std::string GroupName(std::string_view name, const std::vector<int64_t>& indices) {
  std::string text(name);
  char separator = '[';
  for (size_t first = 0; first < indices.size();) {
    size_t last = first;
    while (last + 1 < indices.size() && indices[last + 1] == indices[last] + 1) {
      ++last;
    }
    text += separator;
    text += first == last ? fmt::format("{}", indices[first]) : fmt::format("{}-{}", indices[first], indices[last]);
    separator = ',';
    first = last + 1;
  }
  return text + ']';
}

TreeBuilder::TreeBuilder(ModuleTree* tree, NodeSpec root) : tree_(tree) {
  tree_->nodes.reserve(kUsualNodes);
  tree_->node_of_range.reserve(kUsualNames);
  Node node;
  node.id = root.name;
  node.spec = std::move(root);
  tree_->node_of_range.emplace(node.id, 0);
  tree_->nodes.push_back(std::move(node));
  open_.push_back({0, {""}});
}

TreeBuilder::Scope::~Scope() { builder_->open_.pop_back(); }

int TreeBuilder::AddNode(NodeSpec spec) {
  const int index = static_cast<int>(tree_->nodes.size());
  const Place& place = open_.back();
  Node& parent = tree_->nodes[place.node];
  Node node;
  node.id = place.node == 0 ? spec.name : Join(parent.id, spec.name);
  node.spec = std::move(spec);
  node.stage = parent.stage;
  node.frames = parent.frames;
  node.parent = place.node;
  node.instances = static_cast<int64_t>(place.instances.size());
  node.owns_weights = parent.owns_weights;
  parent.children.push_back(index);
  tree_->node_of_range.emplace(node.id, index);
  tree_->nodes.push_back(std::move(node));
  return index;
}

std::vector<std::string> TreeBuilder::InstancesOf(const std::string& name) const {
  std::vector<std::string> instances;
  instances.reserve(open_.back().instances.size());
  for (const std::string& prefix : open_.back().instances) {
    instances.push_back(Join(prefix, name));
  }
  return instances;
}

TreeBuilder::Scope TreeBuilder::Push(int node, std::vector<std::string> instances) {
  for (const std::string& instance : instances) {
    tree_->node_of_range.emplace(instance, node);
  }
  open_.push_back({node, std::move(instances)});
  return Scope(this);
}

TreeBuilder::Scope TreeBuilder::OpenStage(NodeSpec spec, Stage stage, FrameSet frames) {
  std::vector<std::string> instances = InstancesOf(spec.name);
  const int node = AddNode(std::move(spec));
  tree_->nodes[node].stage = stage;
  tree_->nodes[node].frames = frames;
  tree_->nodes[node].owns_weights = stage != Stage::kDecode;
  return Push(node, std::move(instances));
}

TreeBuilder::Scope TreeBuilder::Open(NodeSpec spec) {
  std::vector<std::string> instances = InstancesOf(spec.name);
  const int node = AddNode(std::move(spec));
  return Push(node, std::move(instances));
}

TreeBuilder::Scope TreeBuilder::Open(NodeSpec spec, FrameSet frames) {
  std::vector<std::string> instances = InstancesOf(spec.name);
  const int node = AddNode(std::move(spec));
  tree_->nodes[node].frames = frames;
  return Push(node, std::move(instances));
}

TreeBuilder::Scope TreeBuilder::OpenGroup(NodeSpec spec, const std::vector<int64_t>& indices) {
  std::vector<std::string> instances;
  for (const int64_t index : indices) {
    const std::vector<std::string> layer = InstancesOf(fmt::format("{}[{}]", spec.name, index));
    instances.insert(instances.end(), layer.begin(), layer.end());
  }
  spec.name = GroupName(spec.name, indices);
  spec.repetition = Repetition::kFor;
  spec.repetition_count = static_cast<int64_t>(indices.size());
  const int node = AddNode(std::move(spec));
  tree_->nodes[node].instances = static_cast<int64_t>(instances.size());
  return Push(node, std::move(instances));
}

void TreeBuilder::Leaf(NodeSpec spec) {
  std::vector<std::string> instances = InstancesOf(spec.name);
  const int node = AddNode(std::move(spec));
  for (std::string& instance : instances) {
    tree_->node_of_range.emplace(std::move(instance), node);
  }
}

}  // namespace dsocr::analytic
