// The operator category of a module class, by its name.
#ifndef DSOCR_DAEMON_CATALOG_OPERATOR_CLASS_H_
#define DSOCR_DAEMON_CATALOG_OPERATOR_CLASS_H_

#include <optional>
#include <string_view>

#include "analytic/category.h"

namespace dsocr::catalog {

// "LlamaFlashAttention2" -> attention. nullopt for a name that says nothing, such as "Block" or "ModuleList": a class
// like that is what its children are. Pure function.
std::optional<analytic::CategoryId> CategoryOfClassName(std::string_view class_name);

}  // namespace dsocr::catalog

#endif  // DSOCR_DAEMON_CATALOG_OPERATOR_CLASS_H_
