// What a module computes, in a sentence.
#ifndef DSOCR_ANALYTIC_MODULE_DEFINITION_H_
#define DSOCR_ANALYTIC_MODULE_DEFINITION_H_

#include <string_view>

#include "analytic/module/tree.h"

namespace dsocr::analytic {

// Markdown, by the node's name and its class in the original model. Empty for a module that has no entry: a composite
// then is what its children are, a leaf what its operator is.
std::string_view DefinitionOf(const Node& node);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_MODULE_DEFINITION_H_
