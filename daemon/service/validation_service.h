// ValidationService: how far predictions can be trusted: calibrations, made and judged, and validations.
#ifndef DSOCR_DAEMON_SERVICE_VALIDATION_SERVICE_H_
#define DSOCR_DAEMON_SERVICE_VALIDATION_SERVICE_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "daemon/calibrate/machine.h"
#include "daemon/config/current.h"
#include "daemon/ops/activity.h"
#include "daemon/run/measure_device.h"
#include "daemon/run/plan.h"
#include "daemon/run/run_manager.h"
#include "daemon/store/store.h"
#include "daemon/validate/validator.h"
#include "dsocr/v1/validation.grpc.pb.h"

namespace dsocr::service {

// Thread-safe. Borrows what it is given.
class ValidationService final : public v1::ValidationService::Service {
 public:
  ValidationService(const run::Planner* planner, run::RunManager* runs, store::Store* store,
                    const config::Current* config, const calibrate::Machine* machine, ops::Activity* activity)
      : planner_(planner),
        runs_(runs),
        store_(store),
        config_(config),
        machine_(machine),
        activity_(activity),
        validator_(runs, store, machine) {}

  grpc::Status Validate(grpc::ServerContext* context, const v1::ValidateRequest* request,
                        grpc::ServerWriter<v1::ValidateEvent>* writer) override;
  grpc::Status ListValidations(grpc::ServerContext* context, const v1::ListValidationsRequest* request,
                               v1::ListValidationsResponse* response) override;

  grpc::Status Calibrate(grpc::ServerContext* context, const v1::CalibrateRequest* request,
                         grpc::ServerWriter<v1::CalibrateEvent>* writer) override;
  grpc::Status FitCalibration(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::FitCalibrationResponse, v1::FitCalibrationRequest>* stream) override;
  grpc::Status EvalCalibration(grpc::ServerContext* context, grpc::ServerReader<v1::EvalCalibrationRequest>* reader,
                               v1::EvalCalibrationResponse* response) override;

 private:
  // Who waits for a calibration: whether they have gone, and where to tell them how it goes.
  struct Waiter {
    std::function<bool()> is_cancelled;
    std::function<void(std::string)> tell;
  };

  absl::StatusOr<v1::DeviceCalibration> CalibrateDevice(const v1::CalibrateRequest& request, const Waiter& waiter);
  // The calibration that the request asks for: one that is there, or a new one.
  absl::StatusOr<run::KeptCalibration> FindOrMeasure(const v1::CalibrateRequest& request,
                                                     const calibrate::Target& target, const store::CalibrationKey& key,
                                                     const Waiter& waiter);
  absl::StatusOr<std::string> Measure(const v1::CalibrateRequest& request, const calibrate::Target& target,
                                      const store::CalibrationKey& key, const Waiter& waiter);

  const run::Planner* const planner_;
  run::RunManager* const runs_;
  store::Store* const store_;
  const config::Current* const config_;
  const calibrate::Machine* const machine_;
  ops::Activity* const activity_;
  const validate::Validator validator_;
  absl::Mutex fit_mutex_;  // fits and evaluations take turns: each keeps a core busy
};

}  // namespace dsocr::service

#endif  // DSOCR_DAEMON_SERVICE_VALIDATION_SERVICE_H_
