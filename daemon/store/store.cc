#include "daemon/store/store.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/synchronization/mutex.h"
#include "base/status.h"
#include "base/suggest.h"
#include "base/unique_fd.h"
#include "daemon/report/report.h"
#include "daemon/store/schema.h"
#include "daemon/store/sqlite.h"
#include "fmt/format.h"

namespace dsocr::store {
namespace {

constexpr int kDefaultPageSize = 50;
constexpr int kMaxPageSize = 1000;
constexpr std::string_view kLatest = "latest";
constexpr std::string_view kUrlScheme = "sqlite:";

absl::Status CannotCreate(const std::string& path, int error) {
  const std::string text =
      fmt::format("store '{}': {}; choose another --store or change the mode there", path, std::strerror(error));
  return error == EACCES || error == EPERM || error == EROFS ? absl::PermissionDeniedError(text)
         : error == ENOSPC                                   ? absl::ResourceExhaustedError(text)
                                                             : absl::FailedPreconditionError(text);
}

// Directories (0700) and file (0600) as far as they are missing.
absl::Status CreateMissing(const std::string& path) {
  std::filesystem::path directory;
  for (const std::filesystem::path& part : std::filesystem::path(path).parent_path()) {
    directory /= part;
    if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
      return CannotCreate(path, errno);
    }
  }
  if (!UniqueFd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)).valid()) {
    return CannotCreate(path, errno);
  }
  return absl::OkStatus();
}

// An id of the caller's as it may stand in a one-line message.
std::string Printable(std::string_view id) {
  constexpr size_t kLongest = 100;
  std::string text(id.substr(0, kLongest));
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      c = '?';
    }
  }
  return id.size() > kLongest ? text + "…" : text;
}

template <typename Message>
absl::StatusOr<Message> ParseRow(const Query& query, int column, const std::string& store, std::string_view id) {
  Message message;
  if (!message.ParseFromString(query.Text(column))) {
    return absl::DataLossError(
        fmt::format("'{}' in store '{}': its row is damaged; restore a copy or delete it", Printable(id), store));
  }
  return message;
}

struct Page {
  int64_t size = 0;
  int64_t before_seq = 0;  // rows older than this one
};

absl::StatusOr<Page> ParsePage(int page_size, const std::string& page_token) {
  if (page_size < 0 || page_size > kMaxPageSize) {
    return absl::InvalidArgumentError(fmt::format("page_size {}: out of range; use 0 to {}", page_size, kMaxPageSize));
  }
  Page page{.size = page_size == 0 ? kDefaultPageSize : page_size, .before_seq = INT64_MAX};
  if (!page_token.empty() && (!absl::SimpleAtoi(page_token, &page.before_seq) || page.before_seq < 1)) {
    return absl::InvalidArgumentError(
        fmt::format("page_token '{}': not one of this list; use next_page_token as it came", Printable(page_token)));
  }
  return page;
}

bool IsFinal(v1::RunState state) {
  return state == v1::RUN_STATE_DONE || state == v1::RUN_STATE_FAILED || state == v1::RUN_STATE_CANCELLED;
}

std::optional<double> Optional(bool present, double value) {
  return present ? std::optional<double>(value) : std::nullopt;
}

// What a NOT_FOUND needs to know of a table.
struct Kind {
  std::string_view noun;
  std::string_view count_sql;
  std::string_view ids_sql;  // the newest thousand
  std::string_view lister;   // what shows them all; empty: nothing does
  std::string_view maker;    // what makes the first one
};

constexpr Kind kReport = {"report", "SELECT count(*) FROM report",
                          "SELECT report_id FROM report ORDER BY seq DESC LIMIT 1000", "dsocrctl list", "dsocrctl run"};
constexpr Kind kRun = {"run", "SELECT count(*) FROM run", "SELECT run_id FROM run ORDER BY seq DESC LIMIT 1000", "",
                       "dsocrctl run"};
// Of the columns calibration_id, device_name, dtype, driver, tool_version, torch_version, json.
StoredCalibration CalibrationOf(const Query& query) {
  return {.id = query.Text(0),
          .key = {.device_name = query.Text(1),
                  .dtype = query.Text(2),
                  .driver = query.Text(3),
                  .tool_version = query.Text(4),
                  .torch_version = query.Text(5)},
          .json = query.Text(6)};
}

constexpr Kind kCalibration = {"calibration", "SELECT count(*) FROM calibration",
                               "SELECT calibration_id FROM calibration ORDER BY seq DESC LIMIT 1000",
                               "dsocrctl devices", "dsocrctl run"};
constexpr Kind kValidation = {"validation", "SELECT count(*) FROM validation",
                              "SELECT validation_id FROM validation ORDER BY seq DESC LIMIT 1000",
                              "dsocrctl validate --history", "dsocrctl validate"};

}  // namespace

struct Store::Impl {
  std::string url;
  absl::Mutex mutex;
  std::unique_ptr<Database> database;  // guarded by mutex

  absl::StatusOr<int64_t> Count(const Kind& kind) {
    DSOCR_ASSIGN_OR_RETURN(Query query, database->Prepare(kind.count_sql));
    DSOCR_RETURN_IF_ERROR(query.Next().status());
    return query.Int(0);
  }

  absl::Status NotFound(const Kind& kind, std::string_view id) {
    const std::string what = fmt::format("no {} '{}'", kind.noun, Printable(id));
    DSOCR_ASSIGN_OR_RETURN(const int64_t count, Count(kind));
    if (count == 0) {
      return absl::NotFoundError(fmt::format("{}: {} holds none; '{}' makes one", what, url, kind.maker));
    }
    std::vector<std::string> ids;
    DSOCR_ASSIGN_OR_RETURN(Query query, database->Prepare(kind.ids_sql));
    for (;;) {
      DSOCR_ASSIGN_OR_RETURN(const bool more, query.Next());
      if (!more) {
        break;
      }
      ids.push_back(query.Text(0));
    }
    const std::string next =
        kind.lister.empty() ? fmt::format("there are {}", count) : fmt::format("'{}' shows all {}", kind.lister, count);
    return absl::NotFoundError(fmt::format("{}: not in {}{}", what, url, DidYouMean(id, ids, next)));
  }

  // `column` of the report: an id, or "latest".
  template <typename Message>
  absl::StatusOr<Message> GetReportColumn(std::string_view id, std::string_view by_id_sql,
                                          std::string_view latest_sql) {
    absl::MutexLock lock(&mutex);
    const bool latest = id == kLatest;
    DSOCR_ASSIGN_OR_RETURN(Query query, database->Prepare(latest ? latest_sql : by_id_sql));
    if (!latest) {
      query.Bind(id);
    }
    DSOCR_ASSIGN_OR_RETURN(const bool found, query.Next());
    if (!found) {
      return NotFound(kReport, id);
    }
    return ParseRow<Message>(query, 0, url, id);
  }
};

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::~Store() = default;

const std::string& Store::url() const { return impl_->url; }

absl::StatusOr<std::unique_ptr<Store>> Store::Open(const std::string& url) {
  if (url.rfind(kUrlScheme, 0) != 0 || url.size() == kUrlScheme.size()) {
    return absl::InvalidArgumentError(
        fmt::format("store '{}': not a store that this dsocrd can use; give sqlite:PATH", Printable(url)));
  }
  const std::string path = url.substr(kUrlScheme.size());
  DSOCR_RETURN_IF_ERROR(CreateMissing(path));
  auto impl = std::make_unique<Impl>();
  impl->url = url;
  DSOCR_ASSIGN_OR_RETURN(impl->database, Database::Open(path, url));
  DSOCR_RETURN_IF_ERROR(
      impl->database->Execute("PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL"));
  DSOCR_RETURN_IF_ERROR(Migrate(impl->database.get()));
  return std::unique_ptr<Store>(new Store(std::move(impl)));
}

absl::Status Store::PutReport(const v1::AnalyticModelReport& report, std::string_view digest) {
  const std::string summary = report::Summarize(report).SerializeAsString();
  const std::string blob = report.SerializeAsString();
  const auto digest_or_null = digest.empty() ? std::nullopt : std::optional<std::string>(digest);
  const auto run_id = report.has_profile_run_id() ? std::optional<std::string>(report.profile_run_id()) : std::nullopt;
  absl::MutexLock lock(&impl_->mutex);
  DSOCR_ASSIGN_OR_RETURN(
      Query query,
      impl_->database->Prepare(
          "INSERT INTO report (report_id, digest, created_at, model_variant, workload_profile_id, device, predicted_ms,"
          " measured_ms, ratio, profile_run_id, summary, report) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
          " ON CONFLICT (report_id) DO UPDATE SET digest = excluded.digest, created_at = excluded.created_at,"
          " model_variant = excluded.model_variant, workload_profile_id = excluded.workload_profile_id,"
          " device = excluded.device, predicted_ms = excluded.predicted_ms, measured_ms = excluded.measured_ms,"
          " ratio = excluded.ratio, profile_run_id = excluded.profile_run_id, summary = excluded.summary,"
          " report = excluded.report"));
  return query.Bind(report.report_id())
      .BindOptional(digest_or_null)
      .Bind(report.provenance().started_at())
      .Bind(report.model().model_variant())
      .Bind(report.workload().profile_id())
      .Bind(report.provenance().device().name())
      .Bind(Optional(report.has_predicted_total_time_ms(), report.predicted_total_time_ms()))
      .Bind(Optional(report.has_measured_total_time_ms(), report.measured_total_time_ms()))
      .Bind(Optional(report.has_predicted_vs_measured_ratio(), report.predicted_vs_measured_ratio()))
      .BindOptional(run_id)
      .BindBlob(summary)
      .BindBlob(blob)
      .Run();
}

absl::StatusOr<v1::AnalyticModelReport> Store::GetReport(std::string_view report_id) {
  return impl_->GetReportColumn<v1::AnalyticModelReport>(report_id, "SELECT report FROM report WHERE report_id = ?",
                                                         "SELECT report FROM report ORDER BY seq DESC LIMIT 1");
}

absl::StatusOr<v1::DeepSeekOCRAnalyticReportSummary> Store::GetSummary(std::string_view report_id) {
  return impl_->GetReportColumn<v1::DeepSeekOCRAnalyticReportSummary>(
      report_id, "SELECT summary FROM report WHERE report_id = ?",
      "SELECT summary FROM report ORDER BY seq DESC LIMIT 1");
}

absl::StatusOr<std::optional<std::string>> Store::FindByDigest(std::string_view digest) {
  absl::MutexLock lock(&impl_->mutex);
  DSOCR_ASSIGN_OR_RETURN(
      Query query, impl_->database->Prepare("SELECT report_id FROM report WHERE digest = ? AND measured_ms IS NULL"
                                            " ORDER BY seq DESC LIMIT 1"));
  query.Bind(digest);
  DSOCR_ASSIGN_OR_RETURN(const bool found, query.Next());
  return found ? std::optional<std::string>(query.Text(0)) : std::nullopt;
}

absl::StatusOr<v1::ListReportsResponse> Store::ListReports(const v1::ListReportsRequest& request) {
  DSOCR_ASSIGN_OR_RETURN(const Page page, ParsePage(request.page_size(), request.page_token()));
  absl::MutexLock lock(&impl_->mutex);
  DSOCR_ASSIGN_OR_RETURN(
      Query query, impl_->database->Prepare("SELECT seq, report_id, created_at, model_variant, workload_profile_id,"
                                            " device, predicted_ms, measured_ms, ratio, profile_run_id FROM report"
                                            " WHERE seq < ? ORDER BY seq DESC LIMIT ?"));
  query.Bind(page.before_seq).Bind(page.size + 1);  // one more, to see whether there is a next page
  v1::ListReportsResponse response;
  int64_t last_seq = 0;
  for (;;) {
    DSOCR_ASSIGN_OR_RETURN(const bool more, query.Next());
    if (!more) {
      return response;
    }
    if (response.reports_size() == page.size) {
      response.set_next_page_token(std::to_string(last_seq));
      return response;
    }
    last_seq = query.Int(0);
    v1::ReportListItem& item = *response.add_reports();
    item.set_report_id(query.Text(1));
    item.set_created_at(query.Text(2));
    item.set_model_variant(query.Text(3));
    item.set_workload_profile_id(query.Text(4));
    item.set_device(query.Text(5));
    if (!query.IsNull(6)) {
      item.set_predicted_total_time_ms(query.Real(6));
    }
    if (!query.IsNull(7)) {
      item.set_measured_total_time_ms(query.Real(7));
    }
    if (!query.IsNull(8)) {
      item.set_predicted_vs_measured_ratio(query.Real(8));
    }
    if (!query.IsNull(9)) {
      item.set_profile_run_id(query.Text(9));
    }
  }
}

absl::Status Store::DeleteReport(std::string_view report_id) {
  absl::MutexLock lock(&impl_->mutex);
  DSOCR_ASSIGN_OR_RETURN(Query query,
                         impl_->database->Prepare("DELETE FROM report WHERE report_id = ? RETURNING report_id"));
  query.Bind(report_id);
  DSOCR_ASSIGN_OR_RETURN(const bool deleted, query.Next());
  if (!deleted) {
    return impl_->NotFound(kReport, report_id);
  }
  return query.Run();
}

absl::StatusOr<int64_t> Store::CountReports() {
  absl::MutexLock lock(&impl_->mutex);
  return impl_->Count(kReport);
}

absl::Status Store::PutRun(const v1::Run& run) {
  const std::string blob = run.SerializeAsString();
  absl::MutexLock lock(&impl_->mutex);
  DSOCR_ASSIGN_OR_RETURN(
      Query query,
      impl_->database->Prepare("INSERT INTO run (run_id, finished, run) VALUES (?, ?, ?) ON CONFLICT (run_id)"
                               " DO UPDATE SET finished = excluded.finished, run = excluded.run"));
  return query.Bind(run.run_id()).Bind(int64_t{IsFinal(run.state())}).BindBlob(blob).Run();
}

absl::StatusOr<v1::Run> Store::GetRun(std::string_view run_id) {
  absl::MutexLock lock(&impl_->mutex);
  DSOCR_ASSIGN_OR_RETURN(Query query, impl_->database->Prepare("SELECT run FROM run WHERE run_id = ?"));
  query.Bind(run_id);
  DSOCR_ASSIGN_OR_RETURN(const bool found, query.Next());
  if (!found) {
    return impl_->NotFound(kRun, run_id);
  }
  return ParseRow<v1::Run>(query, 0, impl_->url, run_id);
}

absl::StatusOr<v1::ListRunsResponse> Store::ListRuns(const v1::ListRunsRequest& request) {
  DSOCR_ASSIGN_OR_RETURN(const Page page, ParsePage(request.page_size(), request.page_token()));
  absl::MutexLock lock(&impl_->mutex);
  DSOCR_ASSIGN_OR_RETURN(Query query, impl_->database->Prepare(
                                          "SELECT seq, run_id, run FROM run WHERE seq < ? ORDER BY seq DESC LIMIT ?"));
  query.Bind(page.before_seq).Bind(page.size + 1);
  v1::ListRunsResponse response;
  int64_t last_seq = 0;
  for (;;) {
    DSOCR_ASSIGN_OR_RETURN(const bool more, query.Next());
    if (!more) {
      return response;
    }
    if (response.runs_size() == page.size) {
      response.set_next_page_token(std::to_string(last_seq));
      return response;
    }
    last_seq = query.Int(0);
    DSOCR_ASSIGN_OR_RETURN(*response.add_runs(), ParseRow<v1::Run>(query, 2, impl_->url, query.Text(1)));
  }
}

absl::StatusOr<std::vector<v1::Run>> Store::InterruptedRuns() {
  absl::MutexLock lock(&impl_->mutex);
  DSOCR_ASSIGN_OR_RETURN(Query query,
                         impl_->database->Prepare("SELECT run_id, run FROM run WHERE finished = 0 ORDER BY seq"));
  std::vector<v1::Run> runs;
  for (;;) {
    DSOCR_ASSIGN_OR_RETURN(const bool more, query.Next());
    if (!more) {
      return runs;
    }
    DSOCR_ASSIGN_OR_RETURN(v1::Run run, ParseRow<v1::Run>(query, 1, impl_->url, query.Text(0)));
    runs.push_back(std::move(run));
  }
}

absl::Status Store::PutValidation(const v1::Validation& validation) {
  v1::Validation verdict = validation;
  v1::Validation repeats;  // the repeats alone, case by case: lists need not read them
  for (v1::CaseVerdict& of : *verdict.mutable_cases()) {
    *repeats.add_cases()->mutable_repeats() = of.repeats();
    of.clear_repeats();
  }
  const std::string verdict_blob = verdict.SerializeAsString();
  const std::string repeats_blob = repeats.SerializeAsString();
  absl::MutexLock lock(&impl_->mutex);
  DSOCR_ASSIGN_OR_RETURN(
      Query query,
      impl_->database->Prepare("INSERT INTO validation (validation_id, suite, verdict, repeats) VALUES (?, ?, ?, ?)"));
  return query.Bind(validation.validation_id())
      .Bind(validation.suite())
      .BindBlob(verdict_blob)
      .BindBlob(repeats_blob)
      .Run();
}

absl::StatusOr<v1::Validation> Store::GetValidation(std::string_view id, std::string_view suite) {
  absl::MutexLock lock(&impl_->mutex);
  const bool is_latest = id == kLatest;
  DSOCR_ASSIGN_OR_RETURN(
      Query query, impl_->database->Prepare(
                       is_latest ? "SELECT verdict, repeats FROM validation WHERE suite = ? ORDER BY seq DESC LIMIT 1"
                                 : "SELECT verdict, repeats FROM validation WHERE validation_id = ?"));
  query.Bind(is_latest ? suite : id);
  DSOCR_ASSIGN_OR_RETURN(const bool found, query.Next());
  if (!found && is_latest) {
    return absl::NotFoundError(fmt::format(
        "no validation of suite '{}' yet: {} holds none; the first one runs without --baseline", suite, impl_->url));
  }
  if (!found) {
    return impl_->NotFound(kValidation, id);
  }
  DSOCR_ASSIGN_OR_RETURN(v1::Validation validation, ParseRow<v1::Validation>(query, 0, impl_->url, id));
  DSOCR_ASSIGN_OR_RETURN(const v1::Validation repeats, ParseRow<v1::Validation>(query, 1, impl_->url, id));
  for (int i = 0; i < std::min(validation.cases_size(), repeats.cases_size()); ++i) {
    if (repeats.cases(i).repeats().modules_size() > 0) {
      *validation.mutable_cases(i)->mutable_repeats() = repeats.cases(i).repeats();
    }
  }
  return validation;
}

absl::StatusOr<v1::ListValidationsResponse> Store::ListValidations(const v1::ListValidationsRequest& request) {
  DSOCR_ASSIGN_OR_RETURN(const Page page, ParsePage(request.page_size(), request.page_token()));
  absl::MutexLock lock(&impl_->mutex);
  DSOCR_ASSIGN_OR_RETURN(
      Query query,
      impl_->database->Prepare("SELECT seq, verdict FROM validation WHERE seq < ?1 AND (?3 = '' OR suite = ?3)"
                               " ORDER BY seq DESC LIMIT ?2"));
  query.Bind(page.before_seq).Bind(page.size + 1).Bind(request.suite());
  v1::ListValidationsResponse response;
  int64_t last_seq = 0;
  for (;;) {
    DSOCR_ASSIGN_OR_RETURN(const bool more, query.Next());
    if (!more) {
      return response;
    }
    if (response.validations_size() == page.size) {
      response.set_next_page_token(std::to_string(last_seq));
      return response;
    }
    last_seq = query.Int(0);
    DSOCR_ASSIGN_OR_RETURN(*response.add_validations(),
                           ParseRow<v1::Validation>(query, 1, impl_->url, std::to_string(last_seq)));
  }
}

absl::Status Store::PutCalibration(const StoredCalibration& calibration) {
  absl::MutexLock lock(&impl_->mutex);
  DSOCR_ASSIGN_OR_RETURN(
      Query query,
      impl_->database->Prepare("INSERT INTO calibration (calibration_id, device_name, dtype, driver, tool_version,"
                               " torch_version, json) VALUES (?, ?, ?, ?, ?, ?, ?)"));
  return query.Bind(calibration.id)
      .Bind(calibration.key.device_name)
      .Bind(calibration.key.dtype)
      .Bind(calibration.key.driver)
      .Bind(calibration.key.tool_version)
      .Bind(calibration.key.torch_version)
      .Bind(calibration.json)
      .Run();
}

absl::StatusOr<std::optional<StoredCalibration>> Store::FindCalibration(const CalibrationKey& key) {
  absl::MutexLock lock(&impl_->mutex);
  DSOCR_ASSIGN_OR_RETURN(
      Query query,
      impl_->database->Prepare("SELECT calibration_id, json FROM calibration WHERE device_name = ? AND dtype = ?"
                               " AND driver = ? AND tool_version = ? AND torch_version = ? ORDER BY seq DESC LIMIT 1"));
  query.Bind(key.device_name).Bind(key.dtype).Bind(key.driver).Bind(key.tool_version).Bind(key.torch_version);
  DSOCR_ASSIGN_OR_RETURN(const bool found, query.Next());
  if (!found) {
    return std::nullopt;
  }
  return StoredCalibration{.id = query.Text(0), .key = key, .json = query.Text(1)};
}

absl::StatusOr<std::optional<StoredCalibration>> Store::FindCalibrationOfAnyVersion(const CalibrationKey& key) {
  absl::MutexLock lock(&impl_->mutex);
  DSOCR_ASSIGN_OR_RETURN(
      Query query,
      impl_->database->Prepare("SELECT calibration_id, device_name, dtype, driver, tool_version, torch_version, json"
                               " FROM calibration WHERE device_name = ? AND dtype = ?"
                               " ORDER BY seq DESC LIMIT 1"));
  query.Bind(key.device_name).Bind(key.dtype);
  DSOCR_ASSIGN_OR_RETURN(const bool found, query.Next());
  return found ? std::optional(CalibrationOf(query)) : std::nullopt;
}

absl::StatusOr<StoredCalibration> Store::GetCalibration(std::string_view id) {
  absl::MutexLock lock(&impl_->mutex);
  DSOCR_ASSIGN_OR_RETURN(
      Query query,
      impl_->database->Prepare("SELECT calibration_id, device_name, dtype, driver, tool_version, torch_version, json"
                               " FROM calibration WHERE calibration_id = ?"));
  query.Bind(id);
  DSOCR_ASSIGN_OR_RETURN(const bool found, query.Next());
  if (!found) {
    return impl_->NotFound(kCalibration, id);
  }
  return CalibrationOf(query);
}

}  // namespace dsocr::store
