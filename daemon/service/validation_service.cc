#include "daemon/service/validation_service.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "base/status.h"
#include "daemon/calibrate/calibration.h"
#include "daemon/calibrate/device_profile.h"
#include "daemon/calibrate/fit.h"
#include "daemon/calibrate/law_file.h"
#include "daemon/calibrate/operator_table.h"
#include "daemon/catalog/workload_file.h"
#include "daemon/config/version.h"
#include "daemon/run/measure_device.h"
#include "daemon/service/call.h"
#include "daemon/service/chunks.h"
#include "fmt/format.h"

namespace dsocr::service {
namespace {

absl::Status AppendPiece(std::string_view what, std::string_view piece, size_t max_bytes, std::string* file) {
  if (piece.size() > kChunkBytes || file->size() + piece.size() > max_bytes) {
    return absl::InvalidArgumentError(fmt::format("{}: more than {} bytes in a chunk or {} in all; is it another file?",
                                                  what, kChunkBytes, max_bytes));
  }
  file->append(piece);
  return absl::OkStatus();
}

absl::Status CheckProfileSize(const v1::ProfileChoice& profile) {
  return profile.data().size() <= calibrate::kMaxProfileBytes
             ? absl::OkStatus()
             : absl::InvalidArgumentError(fmt::format("device profile '{}': {} bytes, expected at most {}",
                                                      profile.file_name(), profile.data().size(),
                                                      calibrate::kMaxProfileBytes));
}

// `set` puts a piece into a message of its own.
template <typename Set>
absl::Status WritePieces(std::string_view text, const Set& set,
                         grpc::ServerReaderWriter<v1::FitCalibrationResponse, v1::FitCalibrationRequest>* stream) {
  for (; !text.empty(); text.remove_prefix(std::min(text.size(), kChunkBytes))) {
    v1::FitCalibrationResponse message;
    set(std::string(text.substr(0, kChunkBytes)), &message);
    if (!stream->Write(message)) {
      return Gone();
    }
  }
  return absl::OkStatus();
}

}  // namespace

grpc::Status ValidationService::Validate(grpc::ServerContext* context, const v1::ValidateRequest* request,
                                         grpc::ServerWriter<v1::ValidateEvent>* writer) {
  return Call(activity_, [&]() -> absl::Status {
    v1::ValidateEvent last;
    DSOCR_ASSIGN_OR_RETURN(*last.mutable_result(),
                           validator_.Validate(
                               *request, CallerOf(*context), [context] { return context->IsCancelled(); },
                               [writer](const v1::ValidateEvent& event) { return writer->Write(event); }));
    last.set_state(v1::RUN_STATE_DONE);
    writer->Write(last);
    return absl::OkStatus();
  });
}

grpc::Status ValidationService::ListValidations(grpc::ServerContext*, const v1::ListValidationsRequest* request,
                                                v1::ListValidationsResponse* response) {
  return Answer(activity_, response, [&] { return store_->ListValidations(*request); });
}

grpc::Status ValidationService::FitCalibration(
    grpc::ServerContext* context,
    grpc::ServerReaderWriter<v1::FitCalibrationResponse, v1::FitCalibrationRequest>* stream) {
  return Call(activity_, [&]() -> absl::Status {
    v1::FitCalibrationRequest request;
    v1::FitCalibrationRequest message;
    std::string table;
    for (bool is_first = true; stream->Read(&message); is_first = false) {
      DSOCR_RETURN_IF_ERROR(AppendPiece("table", message.table(), calibrate::kMaxTableBytes, &table));
      if (is_first) {
        request = std::move(message);
        request.clear_table();
      }
    }
    DSOCR_RETURN_IF_ERROR(CheckProfileSize(request.profile()));
    absl::StatusOr<calibrate::FittedTable> fitted;
    {
      absl::MutexLock lock(&fit_mutex_);
      fitted = calibrate::FitTable(request, table, config::kVersion, [context] { return context->IsCancelled(); });
    }
    DSOCR_RETURN_IF_ERROR(fitted.status());
    v1::FitCalibrationResponse first;
    *first.mutable_summary() = std::move(fitted->summary);
    if (!stream->Write(first)) {
      return Gone();
    }
    DSOCR_RETURN_IF_ERROR(WritePieces(
        fitted->calibration, [](std::string piece, auto* out) { out->set_calibration(std::move(piece)); }, stream));
    return WritePieces(
        fitted->split, [](std::string piece, auto* out) { out->set_split(std::move(piece)); }, stream);
  });
}

grpc::Status ValidationService::EvalCalibration(grpc::ServerContext* context,
                                                grpc::ServerReader<v1::EvalCalibrationRequest>* reader,
                                                v1::EvalCalibrationResponse* response) {
  return Answer(activity_, response, [&]() -> absl::StatusOr<v1::EvalCalibrationResponse> {
    v1::EvalCalibrationRequest request;
    v1::EvalCalibrationRequest message;
    calibrate::UploadedFiles files;
    for (bool is_first = true; reader->Read(&message); is_first = false) {
      DSOCR_RETURN_IF_ERROR(AppendPiece("table", message.table(), calibrate::kMaxTableBytes, &files.table));
      DSOCR_RETURN_IF_ERROR(
          AppendPiece("calibration", message.calibration(), calibrate::kMaxLawFileBytes, &files.calibration));
      DSOCR_RETURN_IF_ERROR(AppendPiece("split", message.split(), calibrate::kMaxTableBytes, &files.split));
      if (is_first) {
        request = std::move(message);
        request.clear_table();
        request.clear_calibration();
        request.clear_split();
      }
    }
    DSOCR_RETURN_IF_ERROR(CheckProfileSize(request.profile()));
    absl::MutexLock lock(&fit_mutex_);
    return calibrate::EvalTable(request, files, [context] { return context->IsCancelled(); });
  });
}

absl::StatusOr<v1::DeviceCalibration> ValidationService::CalibrateDevice(const v1::CalibrateRequest& request,
                                                                         const std::function<bool()>& is_cancelled,
                                                                         const std::function<void(std::string)>& tell) {
  DSOCR_ASSIGN_OR_RETURN(const calibrate::Target target, calibrate::ResolveDevice(request.device(), *machine_));
  DSOCR_ASSIGN_OR_RETURN(const analytic::Precision precision,
                         catalog::ParseDtype(request.dtype().empty() ? "bf16" : request.dtype()));
  if (target.runner_device.empty()) {
    return absl::FailedPreconditionError(
        fmt::format("device '{}': not on this machine; give cpu or cuda:N", target.figures.name));
  }
  const store::CalibrationKey key = run::CalibrationKeyOf(target, precision);
  std::optional<run::KeptCalibration> kept;
  if (request.allow_stale()) {
    DSOCR_ASSIGN_OR_RETURN(kept, run::KeepStale(key, store_));
  }
  if (!kept) {
    kept.emplace();
    DSOCR_RETURN_IF_ERROR(runs_->DoAlone(is_cancelled, [&](const run::StopSource& stop) -> absl::Status {
      tell(fmt::format("measuring {} in {} for at most {}", key.device_name, key.dtype, run::kMeasuringBudget));
      DSOCR_ASSIGN_OR_RETURN(kept->id, run::MeasureDevice(config_->Get()->runner_path, target, key, store_, stop));
      return absl::OkStatus();
    }));
  }
  DSOCR_ASSIGN_OR_RETURN(const store::StoredCalibration stored, store_->GetCalibration(kept->id));
  DSOCR_ASSIGN_OR_RETURN(const calibrate::Calibration calibration, calibrate::ParseCalibration(stored.json));
  v1::DeviceCalibration result;
  result.set_calibration_id(stored.id);
  result.set_device(key.device_name);
  result.set_dtype(key.dtype);
  result.set_driver(key.driver);
  result.set_tool_version(key.tool_version);
  result.set_points(static_cast<int64_t>(calibration.points.size()));
  if (kept->made_for) {
    result.set_stale(kept->made_for->driver.empty()
                         ? fmt::format("version {}", kept->made_for->tool_version)
                         : fmt::format("version {}, driver {}", kept->made_for->tool_version, kept->made_for->driver));
  }
  return result;
}

grpc::Status ValidationService::Calibrate(grpc::ServerContext* context, const v1::CalibrateRequest* request,
                                          grpc::ServerWriter<v1::CalibrateEvent>* writer) {
  return Call(activity_, [&]() -> absl::Status {
    const auto tell = [writer](std::string message) {
      v1::CalibrateEvent event;
      event.set_message(std::move(message));
      writer->Write(event);
    };
    v1::CalibrateEvent last;
    DSOCR_ASSIGN_OR_RETURN(*last.mutable_result(), CalibrateDevice(
                                                       *request, [context] { return context->IsCancelled(); }, tell));
    last.set_message("done");
    return writer->Write(last) ? absl::OkStatus() : Gone();
  });
}

}  // namespace dsocr::service
