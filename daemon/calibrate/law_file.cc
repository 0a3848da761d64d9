#include "daemon/calibrate/law_file.h"

#include <array>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
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
                                      {"centres", &LawFit::centres}, {"weights", &LawFit::weights},
                                      {"spread", &LawFit::spread},   {"scores", &LawFit::scores}};

OrderedJson DeviceJson(const Device& device) {
  OrderedJson json = {{"name", device.name}, {"kind", device.kind == analytic::DeviceKind::kCpu ? "cpu" : "cuda"}};
  for (const DeviceNumber& number : kDeviceNumbers) {
    json[number.key] = device.*number.member;
  }
  for (const DeviceCount& count : kDeviceCounts) {
    json[count.key] = device.*count.member;
  }
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

OrderedJson HeldOutJson(const HeldOut& score) {
  return {{"n", score.n}, {"mape", score.mape}, {"median_ape", score.median_ape}, {"coverage_90", score.coverage_90}};
}

absl::Status ReadHeldOut(const nlohmann::json& json, std::map<std::string, HeldOut>* held_out) {
  for (const auto& [name, value] : json.items()) {
    HeldOut score;
    ObjectReader reader(value, fmt::format("held_out.{}.", name));
    reader.Integer("n", 1, kMaxTableRows, &score.n);
    reader.Number("mape", 0, kLargestNumber, &score.mape);
    reader.Number("median_ape", 0, kLargestNumber, &score.median_ape);
    reader.Number("coverage_90", 0, 1, &score.coverage_90);
    DSOCR_RETURN_IF_ERROR(reader.Finish());
    held_out->emplace(name, score);
  }
  return absl::OkStatus();
}

OrderedJson FitJson(const LawFit& fit) {
  OrderedJson json = {{"class", analytic::LawClassName(fit.law_class)}, {"dtype", PrecisionName(fit.precision)}};
  for (const FitNumbers& numbers : kFitNumbers) {
    json[numbers.key] = fit.*numbers.member;
  }
  return json;
}

absl::Status ReadFit(const nlohmann::json& json, const std::string& path, LawFit* fit) {
  ObjectReader reader(json, path);
  std::string law_class;
  std::string dtype;
  reader.Text("class", &law_class);
  reader.Text("dtype", &dtype);
  bool is_class = false;
  for (int i = 0; i < analytic::kLawClassCount; ++i) {
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
  if (fit->centres.size() != fit->lengths.size() * fit->weights.size()) {
    reader.Refuse("centres", "not as many as lengths times weights");
  }
  return reader.Finish();
}

absl::Status ReadFits(const nlohmann::json& json, std::vector<LawFit>* fits) {
  for (size_t i = 0; i < json.size(); ++i) {
    LawFit fit;
    DSOCR_RETURN_IF_ERROR(ReadFit(json[i], fmt::format("fits[{}].", i), &fit));
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
  OrderedJson held_out = OrderedJson::object();
  for (const auto& [name, score] : file.held_out) {
    held_out[name] = HeldOutJson(score);
  }
  std::string text = fmt::format("{{\n\"kind\": \"{}\",\n\"version\": {},\n\"law_revision\": {}", kLawKind,
                                 kLawFileVersion, file.law_revision);
  const auto add = [&](std::string_view key, const OrderedJson& value) {
    text += fmt::format(",\n\"{}\": {}", key, value.dump());
  };
  add("tool_version", file.tool_version);
  add("device", DeviceJson(file.model.device));
  add("table", TableJson(file));
  add("held_out", held_out);
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
  std::string kind;
  int64_t version = 0;
  ObjectReader reader(root, "");
  reader.Text("kind", &kind);
  if (kind != kLawKind) {
    return absl::InvalidArgumentError("kind: not a calibration that 'dsocrctl calibrate fit' writes");
  }
  reader.Integer("version", kLawFileVersion, kLawFileVersion, &version);
  reader.Integer("law_revision", 1, kLargestCount, &file.law_revision);
  reader.Text("tool_version", &file.tool_version);
  const nlohmann::json* device = reader.Object("device");
  const nlohmann::json* table = reader.Object("table");
  const nlohmann::json* held_out = reader.Object("held_out");
  const nlohmann::json* fits = reader.Array("fits", analytic::kLawClassCount * kDtypeCount);
  const nlohmann::json* samples = reader.Array("samples", kMaxTableRows);
  DSOCR_RETURN_IF_ERROR(reader.Finish());
  DSOCR_RETURN_IF_ERROR(ReadDevice(*device, &file.model.device));
  DSOCR_RETURN_IF_ERROR(ReadTableKeys(*table, &file));
  DSOCR_RETURN_IF_ERROR(ReadHeldOut(*held_out, &file.held_out));
  DSOCR_RETURN_IF_ERROR(ReadFits(*fits, &file.model.fits));
  DSOCR_RETURN_IF_ERROR(ReadSamples(*samples, &file.model.samples));
  return file;
}

}  // namespace dsocr::calibrate
