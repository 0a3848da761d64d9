#include "daemon/calibrate/calibration.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "base/status.h"
#include "daemon/calibrate/law_file.h"
#include "daemon/store/new_id.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace dsocr::calibrate {
namespace {

using Json = nlohmann::json;

constexpr int kMaxNesting = 8;  // the document has three levels

absl::Status Malformed(std::string_view path, std::string_view why) {
  return absl::InvalidArgumentError(fmt::format("calibration: {} {}; measure the device again", path, why));
}

// A number that is there, finite and not negative.
absl::Status ReadCount(const Json& point, const std::string& path, const char* key, int64_t* out) {
  const auto found = point.find(key);
  if (found == point.end() || !found->is_number_integer() || (found->is_number_integer() && found->get<double>() < 0) ||
      found->get<double>() > 9e18) {
    return Malformed(fmt::format("{}.{}", path, key), "is not a count");
  }
  *out = found->get<int64_t>();
  return absl::OkStatus();
}

absl::StatusOr<analytic::CalibrationPoint> ReadPoint(const Json& json, const std::string& path) {
  if (!json.is_object()) {
    return Malformed(path, "is not an object");
  }
  analytic::CalibrationPoint point;
  const auto category = json.find("category");
  if (category == json.end() || !category->is_string()) {
    return Malformed(path + ".category", "is not a word");
  }
  point.category_id = category->get<std::string>();
  DSOCR_RETURN_IF_ERROR(ReadCount(json, path, "flops", &point.flops));
  DSOCR_RETURN_IF_ERROR(ReadCount(json, path, "vector_flops", &point.vector_flops));
  DSOCR_RETURN_IF_ERROR(ReadCount(json, path, "bytes", &point.io_bytes));
  DSOCR_RETURN_IF_ERROR(ReadCount(json, path, "launches", &point.launches));
  const auto time = json.find("time_ns");
  if (time == json.end() || !time->is_number() || !(time->get<double>() > 0)) {
    return Malformed(path + ".time_ns", "is not a positive number");
  }
  point.time_ns = time->get<double>();
  return point;
}

std::string TextOf(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

absl::StatusOr<std::string> ReadCalibrationFile(const std::string& path) {
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  if (error) {
    return absl::NotFoundError(
        fmt::format("calibration '{}': {}; name an existing file, an id, or none", path, error.message()));
  }
  if (size > kMaxLawFileBytes) {
    return absl::InvalidArgumentError(fmt::format(
        "calibration '{}': {} bytes, expected at most {}; is it another file?", path, size, kMaxLawFileBytes));
  }
  std::ifstream stream(path, std::ios::binary);
  return std::string{std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace

absl::StatusOr<Calibration> ParseCalibration(std::string_view json_text) {
  if (json_text.size() > kMaxCalibrationBytes) {
    return Malformed("document",
                     fmt::format("has {} bytes, expected at most {}", json_text.size(), kMaxCalibrationBytes));
  }
  const auto limit_nesting = [](int depth, Json::parse_event_t, Json&) { return depth <= kMaxNesting; };
  const Json root = Json::parse(json_text, limit_nesting, /*allow_exceptions=*/false);
  if (!root.is_object()) {
    return Malformed("document", "is no JSON object");
  }
  Calibration calibration;
  if (const auto device = root.find("device"); device != root.end() && device->is_object()) {
    calibration.device.set_name(TextOf(*device, "name"));
    calibration.device.set_kind(TextOf(*device, "kind"));
    calibration.device.set_driver(TextOf(*device, "driver"));
  }
  calibration.dtype = TextOf(root, "dtype");
  if (calibration.dtype != "fp32" && calibration.dtype != "bf16") {
    return Malformed("dtype", fmt::format("is '{}', expected fp32 or bf16", calibration.dtype));
  }
  const auto points = root.find("points");
  if (points == root.end() || !points->is_array() || points->empty()) {
    return Malformed("points", "is not a list with points");
  }
  for (size_t i = 0; i < points->size(); ++i) {
    DSOCR_ASSIGN_OR_RETURN(analytic::CalibrationPoint point, ReadPoint((*points)[i], fmt::format("points[{}]", i)));
    calibration.points.push_back(std::move(point));
  }
  return calibration;
}

absl::StatusOr<analytic::Device> ApplyCalibration(const analytic::Device& datasheet, const std::string& request,
                                                  const store::CalibrationKey& key, store::Store* store) {
  if (request == "none") {
    return datasheet;
  }
  std::string id = request;
  std::string json;
  if (request.empty()) {
    DSOCR_ASSIGN_OR_RETURN(const std::optional<store::StoredCalibration> newest, store->FindCalibration(key));
    if (!newest) {
      return datasheet;
    }
    id = newest->id;
    json = newest->json;
  } else if (request.starts_with('/')) {
    DSOCR_ASSIGN_OR_RETURN(json, ReadCalibrationFile(request));
    if (ClaimsToBeLawFile(json)) {
      absl::StatusOr<analytic::Device> device = WithLawFile(datasheet, json, id);
      return device.ok() ? device
                         : absl::InvalidArgumentError(fmt::format("calibration '{}': {}", id,
                                                                  std::string(device.status().message())));
    }
  } else {
    DSOCR_ASSIGN_OR_RETURN(const store::StoredCalibration stored, store->GetCalibration(request));
    json = stored.json;
  }
  DSOCR_ASSIGN_OR_RETURN(const Calibration calibration, ParseCalibration(json));
  if (calibration.dtype != key.dtype) {
    return absl::InvalidArgumentError(
        fmt::format("calibration '{}': it was measured in {}, the workload is {}; choose another with --calibration",
                    id, calibration.dtype, key.dtype));
  }
  const auto precision = calibration.dtype == "fp32" ? analytic::Precision::kFp32 : analytic::Precision::kBf16;
  return analytic::Calibrate(datasheet, precision, calibration.points, id);
}

absl::StatusOr<std::string> KeepCalibration(const std::string& json, const store::CalibrationKey& key,
                                            store::Store* store) {
  DSOCR_ASSIGN_OR_RETURN(const Calibration calibration, ParseCalibration(json));
  if (calibration.dtype != key.dtype) {
    return Malformed("dtype", fmt::format("is '{}', expected '{}'", calibration.dtype, key.dtype));
  }
  const std::string id = store::NewId("c");
  DSOCR_RETURN_IF_ERROR(store->PutCalibration({id, key, json}));
  return id;
}

}  // namespace dsocr::calibrate
