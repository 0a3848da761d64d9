#include "cupti/attribution/dictionary.h"

#include <algorithm>
#include <utility>

#include "cupti/attribution/kernel_category.h"
#include "cupti/attribution/operator_category.h"

namespace dsocr::attribution {
namespace {

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

Dictionary::Dictionary(const Options& options) : options_(options), names_(1), paths_(1) {
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

RangeMeaning Dictionary::Resolve(const Path& parent, record::NameId name) {
  const std::string& text = names_[name].text;
  if (!options_.resolve_range) {
    return {
        NestedId(parent.module == kNoModule ? "" : modules_[parent.module].module_id, names_[parent.name].text, text),
        ""};
  }
  const auto [known, is_new] = meanings_.try_emplace(name);
  if (is_new) {
    known->second = options_.resolve_range(text);
    if (known->second.module_id.empty() && unknown_ranges_.size() < kMaxUnknownRanges) {
      unknown_ranges_.push_back(text);
    }
  }
  return known->second;
}

bool Dictionary::DefinePath(const record::PathDefinition& definition) {
  if (definition.path != paths_.size() || definition.path >= record::kMaxPaths ||
      definition.parent >= definition.path || definition.name == 0 || definition.name >= names_.size()) {
    return false;
  }
  const Path parent = paths_[definition.parent];
  if (parent.depth == static_cast<int>(record::kMaxPathDepth)) {
    return false;
  }
  Path path;
  path.parent = definition.parent;
  path.name = definition.name;
  path.depth = parent.depth + 1;
  path.module = parent.module;
  path.category = parent.category;
  path.has_one_row = parent.has_one_row;
  path.is_request = !parent.in_request && names_[definition.name].text == options_.request_range;
  path.in_request = parent.in_request || path.is_request;
  if (const RangeMeaning meaning = Resolve(parent, definition.name); !meaning.module_id.empty()) {
    const auto [place, is_new] = module_by_id_.try_emplace(meaning.module_id, static_cast<int>(modules_.size()));
    if (is_new) {
      modules_.push_back({meaning.module_id, parent.in_request ? parent.module : kNoModule});
    }
    path.module = place->second;
    path.category = CategoryIndex(meaning.category_id);
    path.has_one_row = meaning.has_one_row;
    // A module inside itself is one call, the outer one: its time is counted once.
    path.enters_module = true;
    for (record::PathId above = definition.parent; above != 0 && paths_[above].in_request && path.enters_module;
         above = paths_[above].parent) {
      path.enters_module = !(paths_[above].enters_module && paths_[above].module == path.module);
    }
  }
  paths_.push_back(path);
  return true;
}

int Dictionary::Category(record::Kind kind, record::PathId path, record::NameId name) {
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
