// What dsocrd remembers: reports, runs, calibrations and validations, in one SQLite file.
//
// A write that returned OK survives a power cut (WAL, synchronous FULL). Documents are opaque blobs (serialized
// messages); what lists and look-ups need has columns of its own, so that they parse no blob. Thread-safe: one
// connection behind a mutex; every call is one transaction.
//
// Errors of every call besides its own: UNAVAILABLE (another process holds the file for over 5 s), RESOURCE_EXHAUSTED
// (disk full), DATA_LOSS (the file or a row is damaged), each naming the file.
#ifndef DSOCR_DAEMON_STORE_STORE_H_
#define DSOCR_DAEMON_STORE_STORE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dsocr/v1/analytic.pb.h"
#include "dsocr/v1/profile.pb.h"
#include "dsocr/v1/report.pb.h"
#include "dsocr/v1/verdict.pb.h"

namespace dsocr::store {

// What a calibration holds for: another driver, tool or LibTorch measures anew.
struct CalibrationKey {
  std::string device_name;
  std::string dtype;
  std::string driver;
  std::string tool_version;
  std::string torch_version;  // empty where dsocr-runner did not say, and of calibrations from before it was asked
};

struct StoredCalibration {
  std::string id;
  CalibrationKey key;
  std::string json;
};

class Store {
 public:
  // `url`: "sqlite:PATH". Creates the file (0600) and its directory (0700) where they are missing, and brings an older
  // schema up to date. INVALID_ARGUMENT for another kind of url; PERMISSION_DENIED; FAILED_PRECONDITION for a file of a
  // newer dsocrd or of another program; DATA_LOSS for what is no SQLite file.
  static absl::StatusOr<std::unique_ptr<Store>> Open(const std::string& url);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  const std::string& url() const;

  // Adds a report, or replaces the one of this id, which keeps its place in the list. `digest`: InputDigest; empty:
  // never found by digest.
  absl::Status PutReport(const v1::AnalyticModelReport& report, std::string_view digest);
  // `report_id`: an id, or "latest" for the one that was added last. NOT_FOUND says which id is near and how many there
  // are.
  absl::StatusOr<v1::AnalyticModelReport> GetReport(std::string_view report_id);
  absl::StatusOr<v1::DeepSeekOCRAnalyticReportSummary> GetSummary(std::string_view report_id);
  // The id of the newest report of this digest that carries no measurement.
  absl::StatusOr<std::optional<std::string>> FindByDigest(std::string_view digest);
  // Newest first. INVALID_ARGUMENT for a page size or token out of range.
  absl::StatusOr<v1::ListReportsResponse> ListReports(const v1::ListReportsRequest& request);
  absl::Status DeleteReport(std::string_view report_id);  // no "latest" here: NOT_FOUND
  absl::StatusOr<int64_t> CountReports();

  // Adds a run, or replaces the one of this id.
  absl::Status PutRun(const v1::Run& run);
  absl::StatusOr<v1::Run> GetRun(std::string_view run_id);  // NOT_FOUND as GetReport
  absl::StatusOr<v1::ListRunsResponse> ListRuns(const v1::ListRunsRequest& request);
  // Runs that are in no final state: at start, those that a crash cut off. Oldest first.
  absl::StatusOr<std::vector<v1::Run>> InterruptedRuns();

  // ALREADY_EXISTS for an id that is taken.
  absl::Status PutValidation(const v1::Validation& validation);
  // With its repeats. `id`: an id, or "latest" for the newest of `suite`. NOT_FOUND as GetReport.
  absl::StatusOr<v1::Validation> GetValidation(std::string_view id, std::string_view suite);
  // Newest first, without their repeats; of one suite, or of all where it is empty. INVALID_ARGUMENT as ListReports.
  absl::StatusOr<v1::ListValidationsResponse> ListValidations(const v1::ListValidationsRequest& request);

  // ALREADY_EXISTS for an id that is taken.
  absl::Status PutCalibration(const StoredCalibration& calibration);
  absl::StatusOr<std::optional<StoredCalibration>> FindCalibration(const CalibrationKey& key);  // the newest
  // The newest of this device and dtype, whatever driver and versions it was made with.
  absl::StatusOr<std::optional<StoredCalibration>> FindCalibrationOfAnyVersion(const CalibrationKey& key);
  absl::StatusOr<StoredCalibration> GetCalibration(std::string_view id);  // NOT_FOUND as GetReport

 private:
  struct Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace dsocr::store

#endif  // DSOCR_DAEMON_STORE_STORE_H_
