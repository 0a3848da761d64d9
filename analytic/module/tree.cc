#include "analytic/module/tree.h"

#include <utility>
#include <variant>

#include "analytic/module/parts.h"

namespace dsocr::analytic {

NodeSpec RootOf(const ModelSpec& model, std::string qualified_class_name) {
  return {.name = "deepseek_ocr",
          .qualified_class_name = std::move(qualified_class_name),
          .constructor_params = {{"vocab_size", model.decoder.vocab_size}, {"hidden_size", model.decoder.hidden_size}}};
}

ModuleTree BuildTree(const ModelSpec& model) {
  return std::visit([&model](const auto& encoder) { return Compose(model, encoder); }, model.encoder);
}

}  // namespace dsocr::analytic
