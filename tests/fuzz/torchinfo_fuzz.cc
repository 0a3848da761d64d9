// Any bytes as torchinfo-unique-layers.json: one line of error, or a list of which every class is in one category.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "daemon/catalog/operator_snapshot.h"
#include "proto/document.h"
#include "tests/fuzz/expect.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using dsocr::Expect;
  const absl::StatusOr<dsocr::v1::TargetOperatorList> list =
      dsocr::catalog::ParseUniqueLayers(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!list.ok()) {
    Expect(list.status().message().find('\n') == absl::string_view::npos, "an error is one line");
    return 0;
  }
  int classes = 0;
  for (const dsocr::v1::OperatorCategory& category : dsocr::catalog::CategoriesOf(*list)) {
    classes += category.match_classes_size();
  }
  Expect(classes == list->operators_size(), "every class is in one category");
  dsocr::v1::TargetOperatorList read;
  Expect(dsocr::document::Parse(dsocr::document::ToYaml(*list), dsocr::document::Format::kYaml, false, &read).ok(),
         "the list reads back");
  return 0;
}
