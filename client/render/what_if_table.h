// A what-if for people and spreadsheets. Columns carry the names and units of the documents, in every format.
#ifndef DSOCR_CLIENT_RENDER_WHAT_IF_TABLE_H_
#define DSOCR_CLIENT_RENDER_WHAT_IF_TABLE_H_

#include <string>

#include "client/render/table.h"
#include "dsocr/v1/what_if.pb.h"

namespace dsocr::client {

// What an answer is about decides its table.
enum class WhatIfView {
  kModules,    // one scenario, its modules beside the baseline's
  kScenarios,  // a row a scenario of a sweep, its parameters first
  kTornado,    // a row a knob, the largest swing first
};

// REQUIRES of all: `response` has what the view shows; kModules: one scenario, whose modules are the baseline's.

// The rows for a program: every module, every scenario, every knob.
Table WhatIfTable(const v1::WhatIfResponse& response, WhatIfView view);

// What was asked, the table, memory and whether it fits, notes. Of the modules, the stages and their children.
std::string WhatIfText(const v1::WhatIfResponse& response, WhatIfView view, bool has_color);
std::string WhatIfMarkdown(const v1::WhatIfResponse& response, WhatIfView view);

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_RENDER_WHAT_IF_TABLE_H_
