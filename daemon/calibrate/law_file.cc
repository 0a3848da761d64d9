#include "daemon/calibrate/law_file.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "analytic/law/device_laws.h"
#include "analytic/law/physics.h"
#include "analytic/law/work.h"
#include "base/status.h"
#include "daemon/calibrate/operator_table.h"
#include "daemon/calibrate/strict_json.h"
#include "fmt/format.h"

namespace dsocr::calibrate {
namespace {

using analytic::Device;
using analytic::LawFit;
using OrderedJson = nlohmann::ordered_json;

constexpr std::string_view kLawKind = "dsocr operator laws";
constexpr int64_t kLawFileVersion = 1;
constexpr double kLargestNumber = 1e30;
constexpr int64_t kLargestCount = int64_t{1} << 53;  // what every reader of JSON keeps exactly
constexpr size_t kDigestDigits = 64;

// The figures of a device, one list for writer and reader.
struct DeviceNumber {
  const char* key;
  double Device::*member;
};
constexpr DeviceNumber kDeviceNumbers[] = {{"matrix_bf16_flops_per_s", &Device::matrix_bf16_flops_per_s},
                                           {"matrix_fp32_flops_per_s", &Device::matrix_fp32_flops_per_s},
                                           {"matrix_tf32_flops_per_s", &Device::matrix_tf32_flops_per_s},
                                           {"vector_flops_per_s", &Device::vector_flops_per_s},
                                           {"memory_bytes_per_s", &Device::memory_bytes_per_s},
                                           {"link_bytes_per_s", &Device::link_bytes_per_s},
                                           {"link_latency_ns", &Device::link_latency_ns},
                                           {"launch_ns", &Device::launch_ns},
                                           {"min_kernel_ns", &Device::min_kernel_ns},
                                           {"matrix_flops_per_clock", &Device::matrix_flops_per_clock},
                                           {"tensor_clock_hz", &Device::tensor_clock_hz},
                                           {"boost_clock_hz", &Device::boost_clock_hz}};
struct DeviceCount {
  const char* key;
  int64_t Device::*member;
};
constexpr DeviceCount kDeviceCounts[] = {
    {"memory_bytes", &Device::memory_bytes}, {"sm_count", &Device::sm_count}, {"l2_bytes", &Device::l2_bytes}};

struct FitNumbers {
  const char* key;
  std::vector<double> LawFit::*member;
};
constexpr FitNumbers kFitNumbers[] = {{"law", &LawFit::law},         {"lengths", &LawFit::lengths},
                                      {"box", &LawFit::box},         {"centres", &LawFit::centres},
                                      {"weights", &LawFit::weights}, {"spread", &LawFit::spread},
                                      {"scores", &LawFit::scores}};

OrderedJson DeviceJson(const Device& device) {
  OrderedJson json = {{"name", device.name}, {"kind", device.kind == analytic::DeviceKind::kCpu ? "cpu" : "cuda"}};
  for (const DeviceNumber& number : kDeviceNumbers) {
    json[number.key] = device.*number.member;
  }
  for (const DeviceCount& count : kDeviceCounts) {
    json[count.key] = device.*count.member;
  }
  json["compute_capability"] = device.compute_capability;
  json["source"] = device.source;
  return json;
}

absl::Status ReadDevice(const nlohmann::json& json, Device* device) {
  ObjectReader reader(json, "device.");
  std::string kind;
  reader.Text("name", &device->name);
  reader.Text("kind", &kind);
  if (kind != "cpu" && kind != "cuda") {
    reader.Refuse("kind", "not one of cuda, cpu");
  }
  device->kind = kind == "cpu" ? analytic::DeviceKind::kCpu : analytic::DeviceKind::kCuda;
  for (const DeviceNumber& number : kDeviceNumbers) {
    reader.Number(number.key, 0, kLargestNumber, &(device->*number.member));
  }
  for (const DeviceCount& count : kDeviceCounts) {
    reader.Integer(count.key, 0, kLargestCount, &(device->*count.member));
  }
  int64_t compute_capability = 0;
  reader.Integer("compute_capability", 0, 1'000'000'000, &compute_capability);
  device->compute_capability = static_cast<int>(compute_capability);
  reader.Text("source", &device->source);
  if (!(device->matrix_bf16_flops_per_s > 0)) {
    reader.Refuse("matrix_bf16_flops_per_s", "not above 0");
  }
  if (!(device->memory_bytes_per_s > 0)) {
    reader.Refuse("memory_bytes_per_s", "not above 0");
  }
  return reader.Finish();
}

OrderedJson TableJson(const LawFile& file) {
  OrderedJson json = {{"device", file.table_device},
                      {"profile", OriginName(file.origin)},
                      {"rows", file.rows},
                      {"sha256", file.rows_sha256}};
  if (file.points) {
    json["points"] = *file.points;
    json["seed"] = file.seed.value_or(0);
  }
  return json;
}

absl::Status ReadTableKeys(const nlohmann::json& json, LawFile* file) {
  ObjectReader reader(json, "table.");
  reader.Text("device", &file->table_device);
  std::string origin;
  reader.Text("profile", &origin);
  bool is_origin = false;
  for (const ProfileOrigin one : {ProfileOrigin::kCatalogue, ProfileOrigin::kFile, ProfileOrigin::kEstimated}) {
    if (origin == OriginName(one)) {
      file->origin = one;
      is_origin = true;
    }
  }
  if (!is_origin) {
    reader.Refuse("profile", "not one of catalogue, file, estimated");
  }
  reader.Integer("rows", 1, kMaxTableRows, &file->rows);
  reader.Text("sha256", &file->rows_sha256);
  if (file->rows_sha256.size() != kDigestDigits ||
      file->rows_sha256.find_first_not_of("0123456789abcdef") != std::string::npos) {
    reader.Refuse("sha256", "not 64 hex digits");
  }
  if (reader.Has("points")) {
    reader.Integer("points", 1, kMaxTableRows, &file->points.emplace());
    reader.Integer("seed", 0, INT64_MAX, &file->seed.emplace());
  }
  return reader.Finish();
}

OrderedJson FitJson(const LawFit& fit) {
  OrderedJson json = {{"class", analytic::LawClassName(fit.law_class)}, {"dtype", PrecisionName(fit.precision)}};
  for (const FitNumbers& numbers : kFitNumbers) {
    json[numbers.key] = fit.*numbers.member;
  }
  json["rows"] = fit.rows;
  return json;
}

// What PredictOperator takes for granted.
std::string_view WhatIsWrongWith(const LawFit& fit) {
  const size_t dimensions = fit.lengths.size();
  if (FamilyOf(fit.law_class) != fit.law_class ||
      dimensions != static_cast<size_t>(analytic::CoordinateCount(fit.law_class))) {
    return "lengths: not one a coordinate of the class";
  }
  if (fit.law.size() != analytic::kLawParameters) {
    return "law: not as many parameters as the law has";
  }
  if (!std::all_of(fit.lengths.begin(), fit.lengths.end(), [](double length) { return length > 0; })) {
    return "lengths: not above 0";
  }
  if (fit.rows.empty() || fit.weights.size() != fit.rows.size() || fit.centres.size() != dimensions * fit.rows.size()) {
    return "centres: not one for each row, length and weight";
  }
  if (fit.box.size() != 2 * dimensions) {
    return "box: not two for each length";
  }
  for (size_t d = 0; d < dimensions; ++d) {
    if (!(fit.box[d] <= fit.box[dimensions + d])) {
      return "box: its lower end is above its upper one";
    }
  }
  const size_t classes = fit.law_class == analytic::LawClass::kGemm ? 2 : 1;
  if (fit.spread.size() != classes * 2 || fit.scores.size() != classes * 3) {
    return "spread: not two for each class, or scores not three";
  }
  return "";
}

absl::Status ReadFit(const nlohmann::json& json, const std::string& path, size_t samples, LawFit* fit) {
  ObjectReader reader(json, path);
  std::string law_class;
  std::string dtype;
  reader.Text("class", &law_class);
  reader.Text("dtype", &dtype);
  bool is_class = false;
  for (int i = 0; i < analytic::kTableLawClassCount; ++i) {
    if (law_class == analytic::LawClassName(analytic::LawClass{i})) {
      fit->law_class = analytic::LawClass{i};
      is_class = true;
    }
  }
  if (!is_class) {
    reader.Refuse("class", "not a class of operators");
  }
  if (const absl::StatusOr<analytic::Precision> precision = ParsePrecision(dtype); precision.ok()) {
    fit->precision = *precision;
  } else {
    reader.Refuse("dtype", std::string(precision.status().message()));
  }
  for (const FitNumbers& numbers : kFitNumbers) {
    reader.Numbers(numbers.key, &(fit->*numbers.member));
  }
  if (const nlohmann::json* rows = reader.Array("rows", kMaxTableRows)) {
    for (const nlohmann::json& row : *rows) {
      if (!row.is_number_unsigned() || row.get<uint64_t>() >= samples) {
        reader.Refuse("rows", fmt::format("{}: no index into samples", row.dump()));
        break;
      }
      fit->rows.push_back(row.get<int>());
    }
  }
  DSOCR_RETURN_IF_ERROR(reader.Finish());
  const std::string_view problem = WhatIsWrongWith(*fit);
  return problem.empty() ? absl::OkStatus() : absl::InvalidArgumentError(path + std::string(problem));
}

absl::Status ReadFits(const nlohmann::json& json, size_t samples, std::vector<LawFit>* fits) {
  for (size_t i = 0; i < json.size(); ++i) {
    LawFit fit;
    DSOCR_RETURN_IF_ERROR(ReadFit(json[i], fmt::format("fits[{}].", i), samples, &fit));
    for (const LawFit& other : *fits) {
      if (other.law_class == fit.law_class && other.precision == fit.precision) {
        return absl::InvalidArgumentError(fmt::format("fits[{}]: a second one of its class and dtype", i));
      }
    }
    fits->push_back(std::move(fit));
  }
  return absl::OkStatus();
}

absl::Status ReadSamples(const nlohmann::json& json, std::vector<analytic::Sample>* samples) {
  for (size_t i = 0; i < json.size(); ++i) {
    const absl::StatusOr<analytic::Sample> sample = json[i].is_string()
                                                        ? ParseRowText(json[i].get_ref<const std::string&>())
                                                        : absl::InvalidArgumentError("not a text");
    if (!sample.ok()) {
      return absl::InvalidArgumentError(fmt::format("samples[{}]: {}", i, std::string(sample.status().message())));
    }
    if (!samples->empty() &&
        !(std::tie(samples->back().size, samples->back().precision) < std::tie(sample->size, sample->precision))) {
      return absl::InvalidArgumentError(fmt::format("samples[{}]: not in ascending order of sizes", i));
    }
    samples->push_back(*sample);
  }
  return absl::OkStatus();
}

// Lists of many entries have a line each.
void AppendLines(std::string_view key, const std::vector<std::string>& lines, std::string* text) {
  *text += fmt::format(",\n\"{}\": [", key);
  std::string_view separator = "\n";
  for (const std::string& line : lines) {
    *text += fmt::format("{}{}", separator, line);
    separator = ",\n";
  }
  *text += "\n]";
}

}  // namespace

std::string WriteLawFile(const LawFile& file) {
  std::string text = fmt::format("{{\n\"kind\": \"{}\",\n\"version\": {},\n\"law_revision\": {}", kLawKind,
                                 kLawFileVersion, file.law_revision);
  const auto add = [&](std::string_view key, const OrderedJson& value) {
    text += fmt::format(",\n\"{}\": {}", key, value.dump());
  };
  add("tool_version", file.tool_version);
  add("device", DeviceJson(file.model.device));
  add("table", TableJson(file));
  std::vector<std::string> lines;
  for (const LawFit& fit : file.model.fits) {
    lines.push_back(FitJson(fit).dump());
  }
  AppendLines("fits", lines, &text);
  lines.clear();
  for (const analytic::Sample& sample : file.model.samples) {
    lines.push_back(fmt::format("\"{}\"", RowText(sample)));
  }
  AppendLines("samples", lines, &text);
  return text + "\n}\n";
}

absl::StatusOr<LawFile> ReadLawFile(std::string_view text) {
  DSOCR_ASSIGN_OR_RETURN(const nlohmann::json root, ParseJsonObject(text, kMaxLawFileBytes));
  LawFile file;
  ObjectReader reader(root, "");
  DSOCR_RETURN_IF_ERROR(reader.Header(kLawKind, kLawFileVersion, "a calibration that 'dsocrctl calibrate fit' writes"));
  reader.Integer("law_revision", 1, kLargestCount, &file.law_revision);
  reader.Text("tool_version", &file.tool_version);
  const nlohmann::json* device = reader.Object("device");
  const nlohmann::json* table = reader.Object("table");
  const nlohmann::json* fits = reader.Array("fits", analytic::kTableLawClassCount * kDtypeCount);
  const nlohmann::json* samples = reader.Array("samples", kMaxTableRows);
  DSOCR_RETURN_IF_ERROR(reader.Finish());
  DSOCR_RETURN_IF_ERROR(ReadDevice(*device, &file.model.device));
  DSOCR_RETURN_IF_ERROR(ReadTableKeys(*table, &file));
  DSOCR_RETURN_IF_ERROR(ReadSamples(*samples, &file.model.samples));
  // Of laws of another revision only the samples are of use.
  if (file.law_revision == kLawRevision) {
    DSOCR_RETURN_IF_ERROR(ReadFits(*fits, file.model.samples.size(), &file.model.fits));
  }
  return file;
}

bool ClaimsToBeLawFile(std::string_view text) {
  const absl::StatusOr<nlohmann::json> root = ParseJsonObject(text, kMaxLawFileBytes);
  return root.ok() && root->contains("kind") && root->at("kind") == kLawKind;
}

absl::StatusOr<analytic::Device> WithLawFile(const analytic::Device& datasheet, std::string_view text, std::string id) {
  DSOCR_ASSIGN_OR_RETURN(LawFile file, ReadLawFile(text));
  if (file.law_revision != kLawRevision) {
    return absl::InvalidArgumentError(
        fmt::format("law_revision: {}: this program has {}; fit the table again", file.law_revision, kLawRevision));
  }
  return analytic::WithLaws(datasheet, std::move(file.model), std::move(id));
}

}  // namespace dsocr::calibrate
