// Validations from the request to the stored verdict: each case of a suite is a run, predicted before it begins.
#ifndef DSOCR_DAEMON_VALIDATE_VALIDATOR_H_
#define DSOCR_DAEMON_VALIDATE_VALIDATOR_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/calibrate/machine.h"
#include "daemon/run/run_manager.h"
#include "daemon/store/store.h"
#include "dsocr/v1/verdict.pb.h"

namespace dsocr::validate {

// Thread-safe. Borrows what it is given.
class Validator {
 public:
  Validator(run::RunManager* runs, store::Store* store, const calibrate::Machine* machine)
      : runs_(runs), store_(store), machine_(machine) {}

  // What a caller who waits is told; false: it has gone.
  using Tell = std::function<bool(const v1::ValidateEvent&)>;

  // Cases run one after another, in the queue of all runs. One that fails is an error of its case. CANCELLED, the run
  // ended and nothing stored, once `is_cancelled` (asked several times a second) or `tell` says so. INVALID_ARGUMENT
  // for a suite that cannot be, NOT_FOUND for a baseline that is not there; else the error of starting a run.
  absl::StatusOr<v1::Validation> Validate(const v1::ValidateRequest& request, run::Caller caller,
                                          const std::function<bool()>& is_cancelled, const Tell& tell) const;

 private:
  absl::StatusOr<v1::ValidationSuite> SuiteOf(const v1::ValidateRequest& request) const;
  // Its runs, one after another.
  absl::StatusOr<v1::CaseVerdict> RunCase(const v1::ValidationCase& of, const std::string& artifacts_root,
                                          run::Caller caller, const std::function<bool()>& is_cancelled,
                                          const Tell& tell) const;
  // One of them to its end, however it ended.
  absl::StatusOr<v1::Run> Execute(const v1::ModelRun& model_run, run::Caller caller,
                                  const std::function<bool()>& is_cancelled,
                                  const std::function<bool(const v1::RunEvent&)>& tell) const;

  run::RunManager* const runs_;
  store::Store* const store_;
  const calibrate::Machine* const machine_;
};

}  // namespace dsocr::validate

#endif  // DSOCR_DAEMON_VALIDATE_VALIDATOR_H_
