// What the names and paths in a job's records stand for: names of the translation, and nodes of the module tree.
#ifndef DSOCR_DAEMON_ATTACH_JOB_NAMES_H_
#define DSOCR_DAEMON_ATTACH_JOB_NAMES_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "cupti/attribution/dictionary.h"
#include "cupti/record/record.h"
#include "daemon/attach/model_call.h"
#include "daemon/attach/module_map.h"
#include "daemon/attach/recognise.h"
#include "daemon/attach/record_writer.h"

namespace dsocr::attach {

using NodeIndex = int;
using TargetIndex = int;
inline constexpr TargetIndex kNoTarget = -1;

// What a module of the job is mapped to.
struct MappedModule : CallKind {
  std::string text;                             // as ModuleMap::Find has it
  std::array<std::vector<NodeIndex>, 2> chain;  // by phase: the nodes from the root down to it
};

struct JobPath {
  record::PathId parent = 0;
  TargetIndex target = kNoTarget;
  std::string module_path;
  std::array<bool, 2> is_noted = {};  // in Observation::job_paths, by phase
};

struct TreeNode {
  std::string id;
  record::NameId name = 0;  // of its range; 0: it is none yet
  int64_t resumed = 0;      // as Observation::resumed
};

// Memory: what the job defined. Every field is hostile. Not thread-safe.
class JobNames {
 public:
  // Borrows all of it.
  JobNames(const RecognisedModel& model, const absl::flat_hash_map<std::string, int>& node_of_range,
           RecordWriter& writer);

  void DefineName(const record::NameDefinition& piece) { dictionary_.DefineName(piece); }
  void DefinePath(const record::PathDefinition& definition);
  bool HasName(record::NameId name) const { return dictionary_.HasName(name); }
  bool HasPath(record::PathId path) const { return dictionary_.HasPath(path); }

  // The same name in the translation. REQUIRES: HasName.
  record::NameId Translated(record::NameId name);
  // REQUIRES: HasPath.
  JobPath& path(record::PathId path) { return paths_[path]; }
  const MappedModule& target(TargetIndex target) const { return targets_[target]; }
  TreeNode& node(NodeIndex node) { return nodes_[node]; }
  const std::vector<TreeNode>& nodes() const { return nodes_; }
  // The name of its range, defined with its first use.
  record::NameId RangeName(NodeIndex node);

  NodeIndex root() const { return root_; }
  NodeIndex prefill() const { return prefill_; }
  NodeIndex projector() const { return projector_; }
  NodeIndex vision() const { return vision_; }

  // Where an operation goes of which only the path is known: to the module, and to none of its calls.
  record::Owner OwnerOfPath(record::PathId path);

 private:
  NodeIndex NodeOf(const std::string& id);
  // Of the path, or of the first around it that has one.
  TargetIndex MappedAround(record::PathId path) const;
  // The target that `module_path` is mapped to; inside a call of `around`, which may be kNoTarget.
  TargetIndex TargetOf(const std::string& module_path, TargetIndex around);

  const RecognisedModel& model_;
  const absl::flat_hash_map<std::string, int>& node_of_range_;
  RecordWriter& writer_;
  const attribution::Options no_options_;
  attribution::Dictionary dictionary_{no_options_};
  std::vector<JobPath> paths_{1};         // by the job's PathId
  std::vector<record::NameId> names_{0};  // by the job's NameId; 0: not used yet
  std::vector<TreeNode> nodes_;
  absl::flat_hash_map<std::string, NodeIndex> node_by_id_;
  std::vector<MappedModule> targets_;
  absl::flat_hash_map<std::string, TargetIndex> target_by_text_;
  const NodeIndex root_;
  const NodeIndex prefill_;
  const NodeIndex projector_;
  const NodeIndex vision_;
};

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_JOB_NAMES_H_
