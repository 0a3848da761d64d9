#include "daemon/service/validation_service.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "daemon/calibrate/calibration.h"
#include "daemon/calibrate/device_profile.h"
#include "daemon/calibrate/fit.h"
#include "daemon/calibrate/held_out.h"
#include "daemon/calibrate/law_file.h"
#include "daemon/calibrate/operator_table.h"
#include "daemon/calibrate/run_points.h"
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

absl::StatusOr<absl::Duration> BudgetOf(const v1::CalibrateRequest& request, const calibrate::Target& target) {
  if (request.budget_ms() == 0) {
    return target.runner_device == "cpu" ? run::kCpuBudget : run::kGpuBudget;
  }
  const absl::Duration budget = absl::Milliseconds(request.budget_ms());
  if (budget < absl::Seconds(1) || budget > run::kMaxBudget) {
    return absl::InvalidArgumentError(fmt::format("budget {}: not from 1s to {}", absl::FormatDuration(budget),
                                                  absl::FormatDuration(run::kMaxBudget)));
  }
  return budget;
}

std::string VersionsText(const store::CalibrationKey& key) {
  std::string text = fmt::format("version {}", key.tool_version);
  if (!key.driver.empty()) {
    text += fmt::format(", driver {}", key.driver);
  }
  if (!key.torch_version.empty()) {
    text += fmt::format(", LibTorch {}", key.torch_version);
  }
  return text;
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

absl::StatusOr<std::string> ValidationService::Measure(const v1::CalibrateRequest& request,
                                                       const calibrate::Target& target,
                                                       const store::CalibrationKey& key, const Waiter& waiter) {
  DSOCR_ASSIGN_OR_RETURN(const absl::Duration budget, BudgetOf(request, target));
  std::string document;
  DSOCR_RETURN_IF_ERROR(runs_->DoAlone(waiter.is_cancelled, [&](const run::StopSource& stop) -> absl::Status {
    waiter.tell(
        fmt::format("measuring {} in {} for at most {}", key.device_name, key.dtype, absl::FormatDuration(budget)));
    DSOCR_ASSIGN_OR_RETURN(document, run::MeasureDevice(config_->Get()->runner_path, target, key, budget, stop));
    return absl::OkStatus();
  }));
  return document;
}

absl::StatusOr<run::KeptCalibration> ValidationService::FindOrMeasure(const v1::CalibrateRequest& request,
                                                                      const calibrate::Target& target,
                                                                      const store::CalibrationKey& key,
                                                                      const Waiter& waiter) {
  if (request.allow_stale()) {
    DSOCR_ASSIGN_OR_RETURN(std::optional<run::KeptCalibration> kept, run::KeepStale(key, store_));
    if (kept) {
      return *std::move(kept);
    }
  }
  calibrate::RunPoints recorded;
  std::optional<store::StoredCalibration> newest;
  if (!request.report_id().empty()) {
    DSOCR_ASSIGN_OR_RETURN(const v1::AnalyticModelReport report, store_->GetReport(request.report_id()));
    DSOCR_ASSIGN_OR_RETURN(recorded, calibrate::PointsOfRun(report, key, store_));
    if (request.budget_ms() == 0) {
      DSOCR_ASSIGN_OR_RETURN(newest, store_->FindCalibration(key));
    }
  }
  std::string document;
  if (newest) {
    document = std::move(newest->json);
  } else {
    DSOCR_ASSIGN_OR_RETURN(document, Measure(request, target, key, waiter));
  }
  if (!recorded.points.empty() || recorded.routing) {
    DSOCR_ASSIGN_OR_RETURN(document, calibrate::WithPoints(document, recorded));
    waiter.tell(fmt::format("{} operators of {} are points, too{}", recorded.points.size(), recorded.source,
                            recorded.routing ? ", and its routing of experts is kept" : ""));
  }
  DSOCR_ASSIGN_OR_RETURN(std::string id, calibrate::KeepCalibration(document, key, store_));
  return run::KeptCalibration{std::move(id), std::nullopt};
}

absl::StatusOr<v1::DeviceCalibration> ValidationService::CalibrateDevice(const v1::CalibrateRequest& request,
                                                                         const Waiter& waiter) {
  DSOCR_ASSIGN_OR_RETURN(const calibrate::Target target, calibrate::ResolveDevice(request.device(), *machine_));
  DSOCR_ASSIGN_OR_RETURN(const analytic::Precision precision,
                         catalog::ParseDtype(request.dtype().empty() ? "bf16" : request.dtype()));
  if (target.runner_device.empty()) {
    return absl::FailedPreconditionError(
        fmt::format("device '{}': not on this machine; give cpu or cuda:N", target.figures.name));
  }
  DSOCR_RETURN_IF_ERROR(BudgetOf(request, target).status());
  if (request.allow_stale() && !request.report_id().empty()) {
    return absl::InvalidArgumentError("allow_stale: a run is of today's versions; give --allow-stale or --run");
  }
  const store::CalibrationKey key = planner_->CalibrationKeyOf(target, precision);
  DSOCR_ASSIGN_OR_RETURN(const run::KeptCalibration kept, FindOrMeasure(request, target, key, waiter));
  DSOCR_ASSIGN_OR_RETURN(const store::StoredCalibration stored, store_->GetCalibration(kept.id));
  DSOCR_ASSIGN_OR_RETURN(const calibrate::Calibration calibration, calibrate::ParseCalibration(stored.json));
  v1::DeviceCalibration result;
  result.set_calibration_id(stored.id);
  result.set_device(key.device_name);
  result.set_dtype(key.dtype);
  result.set_driver(key.driver);
  result.set_tool_version(key.tool_version);
  result.set_torch_version(key.torch_version);
  result.set_points(static_cast<int64_t>(calibration.points.size()));
  if (calibration.discarded_share) {
    result.set_discarded_share(*calibration.discarded_share);
  }
  DSOCR_ASSIGN_OR_RETURN(const std::vector<v1::CategoryFit> fits,
                         calibrate::HeldOutErrors(target.figures, precision, calibration.points));
  result.mutable_categories()->Assign(fits.begin(), fits.end());
  if (kept.made_for) {
    result.set_stale(VersionsText(*kept.made_for));
  }
  return result;
}

grpc::Status ValidationService::Calibrate(grpc::ServerContext* context, const v1::CalibrateRequest* request,
                                          grpc::ServerWriter<v1::CalibrateEvent>* writer) {
  return Call(activity_, [&]() -> absl::Status {
    const Waiter waiter = {.is_cancelled = [context] { return context->IsCancelled(); },
                           .tell =
                               [writer](std::string message) {
                                 v1::CalibrateEvent event;
                                 event.set_message(std::move(message));
                                 writer->Write(event);
                               }};
    v1::CalibrateEvent last;
    DSOCR_ASSIGN_OR_RETURN(*last.mutable_result(), CalibrateDevice(*request, waiter));
    last.set_message("done");
    return writer->Write(last) ? absl::OkStatus() : Gone();
  });
}

}  // namespace dsocr::service
