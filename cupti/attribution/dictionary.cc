#include "cupti/attribution/dictionary.h"

#include <algorithm>
#include <utility>

#include "cupti/attribution/kernel_category.h"
#include "cupti/attribution/operator_category.h"

namespace dsocr::attribution {
namespace {

constexpr uint32_t kMaxWeightRank = 64;  // torch's own limit

// The id of a module of an unknown model: its place in the nesting. In a job whose names are whole paths, a name adds
// to its parent's what it adds to the parent's name: "vision/sam" in "vision" is vision/sam, in whatever "vision"
// stands.
std::string NestedId(const std::string& parent_id, const std::string& parent_name, const std::string& name) {
  if (parent_id.empty()) {
    return name;
  }
  const size_t shared = parent_name.size();
  if (name.compare(0, shared, parent_name) == 0 &&
      (name.size() == shared || name[shared] == '.' || name[shared] == '/')) {
    return parent_id + name.substr(shared);
  }
  return parent_id + "." + name;
}

}  // namespace

Dictionary::Dictionary(const Options& options)
    : options_(options), names_(1), ranges_(1), paths_(1), agent_paths_(1, PathIndex{0}) {
  paths_[0].in_request = options.request_range.empty();
}

bool Dictionary::DefineName(const record::NameDefinition& piece) {
  if (piece.name != names_.size() || piece.name >= record::kMaxNames || piece.total_bytes == 0 ||
      piece.total_bytes > record::kMaxNameBytes || piece.offset >= piece.total_bytes) {
    return false;
  }
  if (piece.offset == 0) {
    pending_text_.clear();
  }
  if (piece.offset != pending_text_.size()) {
    return false;
  }
  pending_text_.append(piece.bytes, std::min<size_t>(sizeof(piece.bytes), piece.total_bytes - piece.offset));
  if (pending_text_.size() == piece.total_bytes) {
    names_.push_back({std::move(pending_text_)});
    pending_text_.clear();
  }
  return true;
}

bool Dictionary::DefinePath(const record::PathDefinition& definition) {
  if (definition.path != agent_paths_.size() || definition.path >= record::kMaxPaths ||
      definition.parent >= definition.path || definition.name == 0 || definition.name >= names_.size()) {
    return false;
  }
  const PathIndex path =
      PathBelow(agent_paths_[definition.parent], RangeOf(names_[definition.name].text, definition.is_module == 1));
  if (path == kNoPath) {
    return false;
  }
  agent_paths_.push_back(path);
  return true;
}

std::optional<JobModule> Dictionary::JobModuleOf(const record::Module& module) const {
  if (!HasName(module.path) || !HasName(module.type) || module.type == 0 || module.rank > kMaxWeightRank) {
    return std::nullopt;
  }
  return JobModule{.path = Text(module.path),
                   .type = Text(module.type),
                   .root = module.root,
                   .weight_shape = {module.shape, module.shape + std::min<size_t>(module.rank, 4)},
                   .parameters = module.parameters,
                   .element_bytes = module.element_bytes};
}

PathIndex Dictionary::Below(PathIndex parent, RangeIndex range) {
  if (own_paths_ == kMaxOwnPaths) {
    const auto known = path_below_.find(uint64_t{parent} << 32 | range);
    return known == path_below_.end() ? kNoPath : known->second;
  }
  const size_t paths_before = paths_.size();
  const PathIndex path = PathBelow(parent, range);
  own_paths_ += paths_.size() - paths_before;
  return path;
}

RangeIndex Dictionary::RangeOf(const std::string& text, bool is_module) {
  const auto [known, is_new] = range_by_text_.try_emplace(text, static_cast<RangeIndex>(ranges_.size()));
  if (is_new) {
    ranges_.push_back({text, is_module, std::nullopt});
  }
  return known->second;
}

std::vector<RangeIndex> Dictionary::RangesOf(PathIndex path) const {
  std::vector<RangeIndex> ranges;
  for (; path != 0; path = paths_[path].parent) {
    ranges.push_back(paths_[path].range);
  }
  std::reverse(ranges.begin(), ranges.end());
  return ranges;
}

RangeMeaning Dictionary::Resolve(const Path& parent, RangeIndex index) {
  Range& range = ranges_[index];
  if (!options_.resolve_range) {
    if (range.is_module) {
      return {range.text, ""};
    }
    const std::string parent_id = parent.module == kNoModule ? "" : modules_[parent.module].module_id;
    return {NestedId(parent_id, ranges_[parent.range].text, range.text), ""};
  }
  if (!range.meaning.has_value()) {
    range.meaning = options_.resolve_range(range.text);
    if (range.meaning->module_id.empty() && unknown_ranges_.size() < kMaxUnknownRanges) {
      unknown_ranges_.push_back(range.text);
    }
  }
  return *range.meaning;
}

int Dictionary::ModuleOf(const std::string& module_id, const Path& parent) {
  const auto [known, is_new] = module_by_id_.try_emplace(module_id, static_cast<int>(modules_.size()));
  if (is_new) {
    modules_.push_back({module_id});
  }
  const int number = known->second;
  if (Module& module = modules_[number]; !module.is_placed && parent.in_request) {
    module.is_placed = true;
    module.parent = parent.module;
    for (int above = parent.module; above != kNoModule; above = modules_[above].parent) {
      if (above == number) {  // what a request stands in may come again inside it
        module.parent = kNoModule;
        break;
      }
    }
  }
  return number;
}

// The one path of this parent and range; kNoPath: too deep.
PathIndex Dictionary::PathBelow(PathIndex parent_index, RangeIndex range) {
  const uint64_t key = uint64_t{parent_index} << 32 | range;
  if (const auto known = path_below_.find(key); known != path_below_.end()) {
    return known->second;
  }
  const Path parent = paths_[parent_index];
  if (parent.depth == static_cast<int>(record::kMaxPathDepth)) {
    return kNoPath;
  }
  Path path;
  path.parent = parent_index;
  path.range = range;
  path.depth = parent.depth + 1;
  path.module = parent.module;
  path.category = parent.category;
  path.has_one_row = parent.has_one_row;
  path.is_request = !parent.in_request && ranges_[range].text == options_.request_range;
  path.in_request = parent.in_request || path.is_request;
  if (const RangeMeaning meaning = Resolve(parent, range); !meaning.module_id.empty()) {
    path.module = ModuleOf(meaning.module_id, parent);
    path.category = CategoryIndex(meaning.category_id);
    path.has_one_row = meaning.has_one_row;
    // A module inside itself is one call, the outer one: its time is counted once.
    path.enters_module = true;
    for (PathIndex above = parent_index; above != 0 && paths_[above].in_request && path.enters_module;
         above = paths_[above].parent) {
      path.enters_module = !(paths_[above].enters_module && paths_[above].module == path.module);
    }
  }
  paths_.push_back(path);
  const auto index = static_cast<PathIndex>(paths_.size() - 1);
  path_below_.emplace(key, index);
  return index;
}

int Dictionary::Category(record::Kind kind, PathIndex path, record::NameId name) {
  if (paths_[path].category >= 0) {
    return paths_[path].category;
  }
  Name& named = names_[name];
  switch (kind) {
    case record::Kind::kCopy:
      return kCopyCategory;
    case record::Kind::kSet:
      return kMemsetCategory;
    case record::Kind::kKernel:
      if (named.kernel_category < 0) {
        named.kernel_category = KernelCategory(named.text);
      }
      return named.kernel_category;
    default:
      if (named.aten_category < 0) {
        named.aten_category = AtenCategory(named.text);
      }
      return paths_[path].has_one_row && named.aten_category == kGemmCategory ? kGemvCategory : named.aten_category;
  }
}

}  // namespace dsocr::attribution
