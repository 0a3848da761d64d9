#include "daemon/http/field_rule.h"

#include <algorithm>
#include <optional>

#include "fmt/format.h"
#include "re2/re2.h"

namespace dsocr::http {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// The limits that analytic/workload.h refuses beyond; schema_test.cc holds them to it.
constexpr int64_t kPatch = 16;
constexpr int64_t kMaxSide = 8192;
constexpr int64_t kMaxPage = 178'956'970;
constexpr int64_t kMaxTokens = int64_t{1} << 20;

constexpr std::string_view kAbsolutePath = "^(/[\\s\\S]*)?$";
constexpr std::string_view kRunId = "^([A-Za-z0-9_-][A-Za-z0-9._-]*)?$";
constexpr int kMaxRunId = 100;
constexpr int kMaxProfileId = 200;

const std::vector<FieldRule>& Rules() {
  static const auto& rules = *new std::vector<FieldRule>{
      {.field = "DeepSeekOCRAnalyticRequest.model_id",
       .description = "Default: deepseek-ai/DeepSeek-OCR.",
       .names = &Vocabulary::model_ids},
      {.field = "DeepSeekOCRAnalyticRequest.model_variant",
       .description = "Default: the variant of model_id.",
       .names = &Vocabulary::model_variants},
      {.field = "DeepSeekOCRAnalyticRequest.workload_profile_id",
       .description = "Default: dsocr-standard-v1.",
       .names = &Vocabulary::workloads},
      {.field = "DeepSeekOCRAnalyticRequest.profile_run_id",
       .description = "An earlier run whose measurement is joined to the new report."},
      {.field = "DeepSeekOCRAnalyticRequest.device",
       .description = "Default: auto, a GPU of the daemon's machine if it has one, else its CPU.",
       .names = &Vocabulary::devices},
      {.field = "DeepSeekOCRAnalyticRequest.dtype",
       .description = "Default: the profile's.",
       .names = &Vocabulary::dtypes},
      {.field = "DeepSeekOCRAnalyticRequest.calibration",
       .description = "An id, an absolute file on the daemon's machine, or none (the default: datasheet figures)."},
      {.field = "DeepSeekOCRAnalyticRequest.operator_snapshot",
       .description =
           "An absolute directory of TorchInfo artifacts on the daemon's machine. Default: the built-in list.",
       .pattern = kAbsolutePath},
      {.field = "DeepSeekOCRAnalyticRequest.artifacts_root",
       .description = "Not honoured over HTTP: artifacts go to the daemon's own directory.",
       .pattern = kAbsolutePath},
      {.field = "DeepSeekOCRAnalyticRequest.run_id",
       .description = "Makes a new report of this id; 409 if it is taken. Default: an id is made.",
       .pattern = kRunId,
       .max_length = kMaxRunId},
      {.field = "DeepSeekOCRAnalyticRequest.model_dir",
       .description = "An absolute directory with config.json on the daemon's machine. Default: the built-in one.",
       .pattern = kAbsolutePath},

      {.field = "WorkloadOverrides.seq_len",
       .description = "Tokens of the prompt, image tokens included: at least those of the image and one more.",
       .minimum = 1,
       .maximum = kMaxTokens},
      {.field = "WorkloadOverrides.base_size",
       .description = "Side of the global view, in pixels.",
       .minimum = kPatch,
       .maximum = kMaxSide,
       .multiple_of = kPatch},
      {.field = "WorkloadOverrides.image_size",
       .description = "Side of a crop, or of the single view, in pixels; with crop_mode 1 the model's crop tile.",
       .minimum = kPatch,
       .maximum = kMaxSide,
       .multiple_of = kPatch},
      {.field = "WorkloadOverrides.crop_mode", .description = "1: cut a large page into crops.", .maximum = 1},
      {.field = "WorkloadOverrides.max_new_tokens",
       .description = "Tokens to generate.",
       .minimum = 1,
       .maximum = kMaxTokens},
      {.field = "WorkloadOverrides.page_width", .description = "Pixels.", .minimum = 1, .maximum = kMaxPage},
      {.field = "WorkloadOverrides.page_height", .description = "Pixels.", .minimum = 1, .maximum = kMaxPage},

      {.field = "OCRWorkloadProfile.profile_id",
       .description = "Any name that the catalogue has not.",
       .pattern = "^[A-Za-z0-9._+=,-]+$",
       .max_length = kMaxProfileId,
       .is_required = true},
      {.field = "OCRWorkloadProfile.description", .description = "For a person."},
      {.field = "OCRWorkloadProfile.seq_len",
       .description = "Tokens of the prompt, image tokens included.",
       .minimum = 1,
       .maximum = kMaxTokens,
       .is_required = true},
      {.field = "OCRWorkloadProfile.base_size",
       .description = "Side of the global view, in pixels.",
       .minimum = kPatch,
       .maximum = kMaxSide,
       .multiple_of = kPatch,
       .is_required = true},
      {.field = "OCRWorkloadProfile.image_size",
       .description = "Side of a crop, or of the single view, in pixels.",
       .minimum = kPatch,
       .maximum = kMaxSide,
       .multiple_of = kPatch,
       .is_required = true},
      {.field = "OCRWorkloadProfile.max_new_tokens",
       .description = "Tokens to generate.",
       .minimum = 1,
       .maximum = kMaxTokens,
       .is_required = true},
      {.field = "OCRWorkloadProfile.num_pages", .description = "One page a request; 0 is 1.", .maximum = 1},
      {.field = "OCRWorkloadProfile.page_width", .description = "Pixels; 0 is image_size.", .maximum = kMaxPage},
      {.field = "OCRWorkloadProfile.page_height", .description = "Pixels; 0 is image_size.", .maximum = kMaxPage},
      {.field = "OCRWorkloadProfile.crop_grid",
       .description = "[width, height] in crops, as the page makes it; empty: not stated.",
       .minimum = 1,
       .maximum = kMaxPage,
       .max_items = 2},
      {.field = "OCRWorkloadProfile.image_tokens",
       .description = "As the page makes them; 0: not stated.",
       .maximum = kMaxTokens},
      {.field = "OCRWorkloadProfile.batch", .description = "One request; 0 is 1.", .maximum = 1},
      {.field = "OCRWorkloadProfile.dtype", .description = "Default: bf16.", .names = &Vocabulary::dtypes},
  };
  return rules;
}

bool Keeps(const FieldRule& rule, int64_t value) {
  return value >= rule.minimum && value <= rule.maximum && value % rule.multiple_of == 0;
}

bool Keeps(const FieldRule& rule, const std::string& value, const Vocabulary& vocabulary) {
  if (rule.names != nullptr) {
    const std::vector<std::string>& names = vocabulary.*rule.names;
    return value.empty() || std::find(names.begin(), names.end(), value) != names.end();
  }
  const bool has_length = rule.max_length == 0 || value.size() <= static_cast<size_t>(rule.max_length);
  return has_length && (rule.pattern.empty() || RE2::FullMatch(value, std::string(rule.pattern)));
}

// The element `i` of an array, or the value of a singular field.
std::optional<int64_t> IntegerOf(const Message& message, const FieldDescriptor& field, int i) {
  const Reflection& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return field.is_repeated() ? reflection.GetRepeatedInt32(message, &field, i)
                                 : reflection.GetInt32(message, &field);
    case FieldDescriptor::CPPTYPE_INT64:
      return field.is_repeated() ? reflection.GetRepeatedInt64(message, &field, i)
                                 : reflection.GetInt64(message, &field);
    default:
      return std::nullopt;
  }
}

bool IsWellFormed(const Message& message, const FieldDescriptor& field, const Vocabulary& vocabulary) {
  const Reflection& reflection = *message.GetReflection();
  if (field.has_presence() && !reflection.HasField(message, &field)) {
    return true;
  }
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    return IsWellFormed(reflection.GetMessage(message, &field), vocabulary);
  }
  const FieldRule* rule = FindRule(field);
  if (rule == nullptr) {
    return true;
  }
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
    return Keeps(*rule, reflection.GetString(message, &field), vocabulary);
  }
  const int count = field.is_repeated() ? reflection.FieldSize(message, &field) : 1;
  for (int i = 0; i < count; ++i) {
    if (const std::optional<int64_t> value = IntegerOf(message, field, i); value && !Keeps(*rule, *value)) {
      return false;
    }
  }
  return !field.is_repeated() || count <= rule->max_items;
}

}  // namespace

const FieldRule* FindRule(const FieldDescriptor& field) {
  const std::string name = fmt::format("{}.{}", field.containing_type()->name(), field.name());
  const auto rule = std::find_if(Rules().begin(), Rules().end(), [&](const FieldRule& r) { return r.field == name; });
  return rule == Rules().end() ? nullptr : &*rule;
}

bool IsWellFormed(const Message& request, const Vocabulary& vocabulary) {
  const google::protobuf::Descriptor& type = *request.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    if (!IsWellFormed(request, *type.field(i), vocabulary)) {
      return false;
    }
  }
  return true;
}

}  // namespace dsocr::http
