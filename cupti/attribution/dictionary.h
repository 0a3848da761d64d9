// What the definition records said: names, paths, and the modules that paths stand for.
//
// Numbers come in order, and a definition that skips one, repeats one, or refers to what is not defined is refused: so
// every number that is accepted is below a size, every path's parent is before it, and chains end.
#ifndef DSOCR_CUPTI_ATTRIBUTION_DICTIONARY_H_
#define DSOCR_CUPTI_ATTRIBUTION_DICTIONARY_H_

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "cupti/attribution/attribution.h"
#include "cupti/record/record.h"

namespace dsocr::attribution {

inline constexpr int kNoModule = -1;

struct Name {
  std::string text;
  int aten_category = -1;  // -1: not asked yet
  int kernel_category = -1;
};

struct Path {
  record::PathId parent = 0;
  record::NameId name = 0;
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
  int parent = kNoModule;
};

class Dictionary {
 public:
  explicit Dictionary(const Options& options);

  // False: refused.
  bool DefineName(const record::NameDefinition& piece);
  bool DefinePath(const record::PathDefinition& definition);

  bool HasName(record::NameId name) const { return name < names_.size(); }
  bool HasPath(record::PathId path) const { return path < paths_.size(); }
  const Path& path(record::PathId path) const { return paths_[path]; }
  size_t path_count() const { return paths_.size(); }
  const std::vector<Module>& modules() const { return modules_; }
  const std::vector<std::string>& unknown_ranges() const { return unknown_ranges_; }

  // The category of an operation. REQUIRES: HasPath, HasName.
  int Category(record::Kind kind, record::PathId path, record::NameId name);

 private:
  static constexpr size_t kMaxUnknownRanges = 100;

  RangeMeaning Resolve(const Path& parent, record::NameId name);

  const Options& options_;
  std::vector<Name> names_;
  std::string pending_text_;  // of the name that is being defined
  std::vector<Path> paths_;
  std::vector<Module> modules_;
  std::unordered_map<std::string, int> module_by_id_;
  std::unordered_map<record::NameId, RangeMeaning> meanings_;
  std::vector<std::string> unknown_ranges_;
};

}  // namespace dsocr::attribution

#endif  // DSOCR_CUPTI_ATTRIBUTION_DICTIONARY_H_
