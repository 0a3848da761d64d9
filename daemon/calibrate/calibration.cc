#include "daemon/calibrate/calibration.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "base/status.h"
#include "daemon/calibrate/law_file.h"
#include "daemon/calibrate/routing_json.h"
#include "daemon/calibrate/strict_json.h"
#include "daemon/store/new_id.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace dsocr::calibrate {
namespace {

using Json = nlohmann::json;

constexpr int64_t kMostWork = 9'000'000'000'000'000'000;
constexpr int64_t kLargestExtent = int64_t{1} << 31;
constexpr double kLongestNs = 1e15;  // eleven days
constexpr size_t kMaxPoints = 100'000;

absl::Status Malformed(std::string_view why) {
  return absl::InvalidArgumentError(fmt::format("calibration: {}; measure the device again", why));
}

// Nothing for a batch of products, which laws know by its work.
absl::StatusOr<std::optional<analytic::OperatorSize>> ReadSize(const Json& json, const std::string& path) {
  ObjectReader reader(json, path + ".");
  const auto integer = [&reader](const char* key, int64_t* value) { reader.Integer(key, 1, kLargestExtent, value); };
  if (reader.Has("m")) {
    analytic::GemmSize gemm;
    int64_t count = 1;
    integer("m", &gemm.m);
    integer("n", &gemm.n);
    integer("k", &gemm.k);
    integer("count", &count);
    DSOCR_RETURN_IF_ERROR(reader.Finish());
    return count == 1 ? std::optional<analytic::OperatorSize>(gemm) : std::nullopt;
  }
  analytic::AttentionSize core;
  integer("batch", &core.batch);
  integer("seq_q", &core.seq_q);
  integer("seq_kv", &core.seq_kv);
  integer("heads", &core.heads);
  integer("kv_heads", &core.kv_heads);
  integer("head_dim", &core.head_dim);
  reader.Bool("causal", &core.is_causal);
  DSOCR_RETURN_IF_ERROR(reader.Finish());
  core.is_causal |= core.seq_q == 1 && core.seq_kv > 1;  // who has a cache sees what came before alone
  return core;
}

absl::StatusOr<analytic::CalibrationPoint> ReadPoint(const Json& json, const std::string& path) {
  ObjectReader reader(json, path + ".");
  analytic::CalibrationPoint point;
  std::string name;
  std::string source;
  reader.Text("category", &point.category_id);
  if (reader.Has("name")) {
    reader.Text("name", &name);
  }
  reader.Integer("flops", 0, kMostWork, &point.flops);
  reader.Integer("vector_flops", 0, kMostWork, &point.vector_flops);
  reader.Integer("bytes", 0, kMostWork, &point.io_bytes);
  reader.Integer("launches", 0, kMostWork, &point.launches);
  reader.Number("time_ns", std::numeric_limits<double>::min(), kLongestNs, &point.time_ns);
  if (reader.Has("contiguous")) {
    reader.Integer("contiguous", 1, kLargestExtent, &point.contiguous);
  }
  if (reader.Has("source")) {
    reader.Text("source", &source);
  }
  if (reader.Has("size")) {
    if (const Json* size = reader.Object("size")) {
      DSOCR_ASSIGN_OR_RETURN(point.size, ReadSize(*size, path + ".size"));
    }
  }
  DSOCR_RETURN_IF_ERROR(reader.Finish());
  return point;
}

absl::Status ReadDevice(const Json& json, v1::DeviceInfo* device) {
  ObjectReader reader(json, "device.");
  int64_t cores = 0;
  reader.Text("name", device->mutable_name());
  reader.Text("kind", device->mutable_kind());
  reader.Text("driver", device->mutable_driver());
  reader.Integer("cores", 0, kLargestExtent, &cores);
  return reader.Finish();
}

absl::Status ReadProbe(const Json& json, ProbeTimes* probe) {
  ObjectReader reader(json, "probe.");
  reader.Number("gemm_ns", 0, kLongestNs, &probe->gemm_ns);
  reader.Number("copy_ns", 0, kLongestNs, &probe->copy_ns);
  return reader.Finish();
}

absl::Status ReadHost(const Json& json, HostTimes* host) {
  ObjectReader reader(json, "host.");
  reader.Number("launch_ns", std::numeric_limits<double>::min(), kLongestNs, &host->launch_ns);
  reader.Number("wait_ns", 0, kLongestNs, &host->wait_ns);
  return reader.Finish();
}

absl::StatusOr<Calibration> ReadDocument(std::string_view text) {
  DSOCR_ASSIGN_OR_RETURN(const Json root, ParseJsonObject(text, kMaxCalibrationBytes));
  ObjectReader reader(root, "");
  Calibration calibration;
  if (reader.Has("device")) {
    if (const Json* device = reader.Object("device")) {
      DSOCR_RETURN_IF_ERROR(ReadDevice(*device, &calibration.device));
    }
  }
  reader.Text("dtype", &calibration.dtype);
  if (calibration.dtype != "fp32" && calibration.dtype != "bf16") {
    reader.Refuse("dtype", fmt::format("'{}', expected fp32 or bf16", calibration.dtype));
  }
  if (reader.Has("torch")) {
    reader.Text("torch", &calibration.torch_version);
  }
  if (reader.Has("seconds")) {
    double seconds = 0;
    reader.Number("seconds", 0, kLongestNs, &seconds);
  }
  if (reader.Has("probe")) {
    if (const Json* probe = reader.Object("probe")) {
      DSOCR_RETURN_IF_ERROR(ReadProbe(*probe, &calibration.probe.emplace()));
    }
  }
  if (reader.Has("host")) {
    if (const Json* host = reader.Object("host")) {
      DSOCR_RETURN_IF_ERROR(ReadHost(*host, &calibration.host.emplace()));
    }
  }
  if (reader.Has("discarded_share")) {
    reader.Number("discarded_share", 0, 1, &calibration.discarded_share.emplace());
  }
  if (reader.Has("routing")) {
    if (const Json* routing = reader.Object("routing")) {
      DSOCR_ASSIGN_OR_RETURN(calibration.routing, ParseRouting(*routing));
    }
  }
  const Json* points = reader.Array("points", kMaxPoints);
  if (points != nullptr && points->empty()) {
    reader.Refuse("points", "a list without points");
  }
  DSOCR_RETURN_IF_ERROR(reader.Finish());
  for (size_t i = 0; i < points->size(); ++i) {
    DSOCR_ASSIGN_OR_RETURN(analytic::CalibrationPoint point, ReadPoint((*points)[i], fmt::format("points[{}]", i)));
    calibration.points.push_back(std::move(point));
  }
  return calibration;
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

absl::StatusOr<Calibration> ParseCalibration(std::string_view json) {
  absl::StatusOr<Calibration> calibration = ReadDocument(json);
  return calibration.ok() ? std::move(calibration) : Malformed(std::string(calibration.status().message()));
}

absl::StatusOr<Calibrated> ApplyCalibration(const analytic::Device& datasheet, const std::string& request,
                                            const store::CalibrationKey& key, store::Store* store) {
  if (request == "none") {
    return Calibrated{.device = datasheet};
  }
  std::string id = request;
  std::string json;
  if (request.empty()) {
    DSOCR_ASSIGN_OR_RETURN(const std::optional<store::StoredCalibration> newest, store->FindCalibration(key));
    if (!newest) {
      return Calibrated{.device = datasheet};
    }
    id = newest->id;
    json = newest->json;
  } else if (request.starts_with('/')) {
    DSOCR_ASSIGN_OR_RETURN(json, ReadCalibrationFile(request));
    if (ClaimsToBeLawFile(json)) {
      absl::StatusOr<analytic::Device> device = WithLawFile(datasheet, json, id);
      if (!device.ok()) {
        return absl::InvalidArgumentError(
            fmt::format("calibration '{}': {}", id, std::string(device.status().message())));
      }
      return Calibrated{.device = *std::move(device)};
    }
  } else {
    DSOCR_ASSIGN_OR_RETURN(const store::StoredCalibration stored, store->GetCalibration(request));
    json = stored.json;
  }
  DSOCR_ASSIGN_OR_RETURN(Calibration calibration, ParseCalibration(json));
  if (calibration.dtype != key.dtype) {
    return absl::InvalidArgumentError(
        fmt::format("calibration '{}': it was measured in {}, the workload is {}; choose another with --calibration",
                    id, calibration.dtype, key.dtype));
  }
  const auto precision = calibration.dtype == "fp32" ? analytic::Precision::kFp32 : analytic::Precision::kBf16;
  Calibrated calibrated = {.device = {}, .routing = std::move(calibration.routing), .probe = calibration.probe};
  DSOCR_ASSIGN_OR_RETURN(calibrated.device, analytic::Calibrate(datasheet, precision, calibration.points, id));
  if (calibration.host && datasheet.kind == analytic::DeviceKind::kCuda) {
    calibrated.device.launch_ns = calibration.host->launch_ns;
    calibrated.device.sync_ns = std::max(0.0, calibration.host->wait_ns - analytic::kQueueLatencyNs);
  }
  return calibrated;
}

absl::StatusOr<std::string> KeepCalibration(const std::string& json, const store::CalibrationKey& key,
                                            store::Store* store) {
  DSOCR_ASSIGN_OR_RETURN(const Calibration calibration, ParseCalibration(json));
  if (calibration.dtype != key.dtype) {
    return Malformed(fmt::format("dtype: '{}', expected '{}'", calibration.dtype, key.dtype));
  }
  const std::string id = store::NewId("c");
  DSOCR_RETURN_IF_ERROR(store->PutCalibration({id, key, json}));
  return id;
}

}  // namespace dsocr::calibrate
