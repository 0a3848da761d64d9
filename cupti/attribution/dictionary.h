// What the definition records said: names, paths, and the modules that paths stand for.
//
// Numbers come in order, and a definition that skips one, repeats one, or refers to what is not defined is refused: so
// every number that is accepted is below a size, every path's parent is before it, and chains end.
//
// Attribution has paths of its own besides the agent's: where the ranges of a CUDA graph's capture are put below the
// range that launches it. So paths have a number here, a PathIndex, that is not the agent's PathId; of one parent and
// one range there is one.
#ifndef DSOCR_CUPTI_ATTRIBUTION_DICTIONARY_H_
#define DSOCR_CUPTI_ATTRIBUTION_DICTIONARY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "cupti/attribution/attribution.h"
#include "cupti/record/record.h"

namespace dsocr::attribution {

inline constexpr int kNoModule = -1;

using PathIndex = uint32_t;  // 0: outside of every range. Parents have lower ones
inline constexpr PathIndex kNoPath = 0xffffffff;
using RangeIndex = uint32_t;  // of a distinct text that names a range

struct Name {
  std::string text;
  int aten_category = -1;  // -1: not asked yet
  int kernel_category = -1;
};

struct Path {
  PathIndex parent = 0;
  RangeIndex range = 0;
  int depth = 0;
  int module = kNoModule;      // whose time this is: the path's own module, or the enclosing one
  int category = -1;           // the one category of the leaf; -1: by operation
  bool has_one_row = false;    // matrix products are gemv
  bool enters_module = false;  // an entry of this path is a call of `module`
  bool is_request = false;     // an entry is a request
  bool in_request = false;     // this path is a request or below one
};

struct Module {
  std::string module_id;
  int parent = kNoModule;  // as first seen in a request
  bool is_placed = false;  // it was
};

class Dictionary {
 public:
  explicit Dictionary(const Options& options);

  // False: refused.
  bool DefineName(const record::NameDefinition& piece);
  bool DefinePath(const record::PathDefinition& definition);

  bool HasName(record::NameId name) const { return name < names_.size(); }
  bool HasPath(record::PathId path) const { return path < agent_paths_.size(); }
  PathIndex IndexOf(record::PathId path) const { return agent_paths_[path]; }

  const Path& path(PathIndex path) const { return paths_[path]; }
  size_t path_count() const { return paths_.size(); }
  // Empty: 0. REQUIRES: HasName.
  const std::string& Text(record::NameId name) const { return names_[name].text; }
  const std::vector<Module>& modules() const { return modules_; }
  // Empty at the top.
  std::string ParentId(const Module& module) const {
    return module.parent == kNoModule ? "" : modules_[module.parent].module_id;
  }
  const std::vector<std::string>& unknown_ranges() const { return unknown_ranges_; }

  // A path of attribution's own. kNoPath: too deep, or 65,536 of them are in use.
  PathIndex Below(PathIndex parent, RangeIndex range);
  // `is_module`: as in record::PathDefinition; what a text was first said to be, it is.
  RangeIndex RangeOf(const std::string& text, bool is_module = false);
  // The ranges of a path, outermost first.
  std::vector<RangeIndex> RangesOf(PathIndex path) const;

  // nullopt: refused.
  std::optional<JobModule> JobModuleOf(const record::Module& module) const;

  // The category of an operation. REQUIRES: HasName.
  int Category(record::Kind kind, PathIndex path, record::NameId name);

 private:
  static constexpr size_t kMaxUnknownRanges = 100;
  static constexpr size_t kMaxOwnPaths = 1 << 16;

  struct Range {
    std::string text;
    bool is_module = false;
    std::optional<RangeMeaning> meaning;  // none: not asked yet
  };

  PathIndex PathBelow(PathIndex parent, RangeIndex range);
  RangeMeaning Resolve(const Path& parent, RangeIndex range);
  int ModuleOf(const std::string& module_id, const Path& parent);

  const Options& options_;
  std::vector<Name> names_;
  std::string pending_text_;  // of the name that is being defined
  std::vector<Range> ranges_;
  std::unordered_map<std::string, RangeIndex> range_by_text_;
  std::vector<Path> paths_;
  std::unordered_map<uint64_t, PathIndex> path_below_;  // by parent << 32 | range
  std::vector<PathIndex> agent_paths_;                  // by PathId
  size_t own_paths_ = 0;
  std::vector<Module> modules_;
  std::unordered_map<std::string, int> module_by_id_;
  std::vector<std::string> unknown_ranges_;
};

}  // namespace dsocr::attribution

#endif  // DSOCR_CUPTI_ATTRIBUTION_DICTIONARY_H_
