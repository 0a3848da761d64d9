// Whether the modules of a job are a DeepSeek-OCR, which, and of what sizes.
//
// Sizes are read from the shapes of weights, so any configuration is recognised, not the published one alone. What no
// weight shows (heads of the decoder and of CLIP, experts a token, how pages are cut) is taken from the published model
// and said. Pure functions; safe from any thread.
#ifndef DSOCR_DAEMON_ATTACH_RECOGNISE_H_
#define DSOCR_DAEMON_ATTACH_RECOGNISE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "analytic/model_spec.h"
#include "analytic/precision.h"
#include "cupti/attribution/attribution.h"
#include "daemon/attach/module_map.h"

namespace dsocr::attach {

// A job's model, and how its ranges are named.
struct RecognisedModel {
  ModuleMap map;
  analytic::ModelSpec model;
  std::string root_name;      // of the root it stands in: its class, qualified; of a second of the class, with ~2
  bool is_first_root = true;  // whose modules' ranges bear no root's name
  std::string prefix;         // its attribute path there, with a dot behind it; empty: it is the root
  int64_t parameters = 0;     // as the job's modules have them
  bool names_modules = true;  // false: it was recognised by its operators; map, root_name and prefix are empty
  std::optional<analytic::Precision> precision = std::nullopt;  // of most weights, where they are not told by modules
  std::vector<std::string> remarks;  // what was assumed, what does not fit; each a clause for a report's notes

  // The path of a range of the job relative to the model, as ModuleMap::Find takes it; nullopt: it is no module of the
  // model. A range is named by its module's path, behind its root's name and a colon where that is not the job's first;
  // the root by its name.
  std::optional<std::string_view> PathOf(std::string_view range_name) const;
};

// `map`: the user's; null: the built-in ones are tried. NOT_FOUND says what is missing. INVALID_ARGUMENT: the user's
// map names modules that the model does not have.
absl::StatusOr<RecognisedModel> Recognise(const std::vector<attribution::JobModule>& modules, const ModuleMap* map);

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_RECOGNISE_H_
