// Builds a ModuleTree from the outside in. One composition function a part of the model (sam.cc, clip.cc, …) opens
// scopes and adds leaves in execution order; the builder makes ids, groups and instance names.
#ifndef DSOCR_ANALYTIC_MODULE_BUILDER_H_
#define DSOCR_ANALYTIC_MODULE_BUILDER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "analytic/module/tree.h"

namespace dsocr::analytic {

// Equal siblings: the indices of layers that are one node. `kind` is the caller's.
struct LayerGroup {
  int kind = 0;
  std::vector<int64_t> indices;  // ascending
};

// Groups layer i by kinds[i], in order of first appearance. Example: {0,0,1,0} -> {0: 0,1,3}, {1: 2}.
std::vector<LayerGroup> GroupLayers(const std::vector<int>& kinds);

// "block[0-1,3]" for "block" and {0,1,3}: runs as a-b, joined by commas.
std::string GroupName(std::string_view name, const std::vector<int64_t>& indices);

class TreeBuilder {
 public:
  // Starts a tree whose root is `root`; the root's id is no prefix of others.
  TreeBuilder(ModuleTree* tree, NodeSpec root);

  // A module with children: those added while the returned scope lives.
  class [[nodiscard]] Scope {
   public:
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    friend class TreeBuilder;
    explicit Scope(TreeBuilder* builder) : builder_(builder) {}
    TreeBuilder* builder_;
  };

  // A child of the root, with the stage and the passes of everything below it.
  Scope OpenStage(NodeSpec spec, Stage stage, FrameSet frames);
  Scope Open(NodeSpec spec);
  // Opens a module of the current stage whose passes differ from its parent's.
  Scope Open(NodeSpec spec, FrameSet frames);
  // A group of equal layers: spec.name is that of one layer, e.g. "block".
  Scope OpenGroup(NodeSpec spec, const std::vector<int64_t>& indices);
  void Leaf(NodeSpec spec);

 private:
  // The innermost open module.
  struct Place {
    int node;
    std::vector<std::string> instances;  // id prefixes of its instances, "" at the root
  };

  int AddNode(NodeSpec spec);
  Scope Push(int node, std::vector<std::string> instances);
  std::vector<std::string> InstancesOf(const std::string& name) const;

  ModuleTree* tree_;
  std::vector<Place> open_;
};

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_MODULE_BUILDER_H_
