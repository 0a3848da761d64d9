#include "daemon/calibrate/fit.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/status.h"
#include "daemon/calibrate/device_profile.h"
#include "daemon/calibrate/evaluation.h"
#include "daemon/calibrate/law_file.h"
#include "daemon/calibrate/operator_table.h"
#include "daemon/calibrate/split.h"
#include "fmt/format.h"
#include "fmt/ranges.h"

namespace dsocr::calibrate {
namespace {

using analytic::Device;
using analytic::Sample;
using Notes = google::protobuf::RepeatedPtrField<std::string>;

constexpr std::string_view kNamelessDevice = "unnamed device";

absl::Status InFile(std::string_view what, std::string_view name, const absl::Status& status) {
  return absl::Status(status.code(), fmt::format("{} '{}': {}", what, name, std::string(status.message())));
}

absl::StatusOr<OperatorTable> ReadTable(std::string_view text, std::string_view name, Notes* notes) {
  absl::StatusOr<OperatorTable> table = ReadOperatorTable(text);
  if (!table.ok()) {
    return InFile("table", name, table.status());
  }
  if (!table->ignored_columns.empty()) {
    notes->Add(
        fmt::format("columns that no operator has were passed over: {}", fmt::join(table->ignored_columns, ", ")));
  }
  return table;
}

// "samples[7]: why" of FitLaws as "row 'gemm,bf16,…': why": the samples may be some of the table's.
absl::Status NameRow(const absl::Status& status, const std::vector<Sample>& rows) {
  constexpr std::string_view kPrefix = "samples[";
  const std::string message(status.message());
  size_t row = 0;
  const char* const begin = message.data() + std::min(kPrefix.size(), message.size());
  const auto [end, error] = std::from_chars(begin, message.data() + message.size(), row);
  if (!message.starts_with(kPrefix) || error != std::errc() || row >= rows.size()) {
    return status;
  }
  const std::string_view why = std::string_view(message).substr(static_cast<size_t>(end - message.data()) + 1);
  return absl::Status(status.code(), fmt::format("row '{}'{}", RowText(rows[row]), why));
}

// Leaves the rows of `op`; all of them where it is empty.
absl::Status KeepOp(std::string_view op, std::string_view table_name, std::vector<Sample>* rows) {
  if (op.empty()) {
    return absl::OkStatus();
  }
  const absl::StatusOr<Op> wanted = ParseOp(op);
  if (!wanted.ok()) {
    return absl::InvalidArgumentError(fmt::format("op '{:.20}': {}", op, std::string(wanted.status().message())));
  }
  std::erase_if(*rows, [&](const Sample& row) { return OpOf(row.size) != *wanted; });
  return rows->empty()
             ? absl::InvalidArgumentError(fmt::format("table '{}': no row of op '{}' to look at", table_name, op))
             : absl::OkStatus();
}

std::string DescribePeaks(const Device& device) {
  return fmt::format("{:.4g} TFLOP/s and {:.4g} GB/s", device.matrix_bf16_flops_per_s / 1e12,
                     device.memory_bytes_per_s / 1e9);
}

DeviceProfile EstimatedProfile(const std::string& device, const std::vector<Sample>& rows, Notes* notes) {
  const std::string name(device.empty() ? kNamelessDevice : device);
  DeviceProfile profile{analytic::EstimateDevice(name, rows), ProfileOrigin::kEstimated};
  notes->Add(
      fmt::format("the catalogue has no '{}': its peaks are estimated from the rows, {} in bf16; "
                  "a --device-profile does better",
                  name, DescribePeaks(profile.device)));
  return profile;
}

absl::StatusOr<DeviceProfile> ProfileOfTable(const v1::ProfileChoice& choice, const std::string& device,
                                             const std::vector<Sample>& rows, Notes* notes) {
  DSOCR_ASSIGN_OR_RETURN(std::optional<DeviceProfile> chosen, ChosenProfile(choice));
  if (chosen) {
    return *std::move(chosen);
  }
  if (std::optional<Device> known = FindByAnyName(device)) {
    return DeviceProfile{*std::move(known), ProfileOrigin::kCatalogue};
  }
  return EstimatedProfile(device, rows, notes);
}

absl::Status CheckDraw(const v1::FitCalibrationRequest& request, size_t rows) {
  if (request.points() < 0 || static_cast<uint64_t>(request.points()) > rows) {
    return absl::InvalidArgumentError(fmt::format("points: {}: the table has {} rows to draw from{}", request.points(),
                                                  rows, request.op().empty() ? "" : " of op " + request.op()));
  }
  if (request.seed() < 0) {
    return absl::InvalidArgumentError(fmt::format("seed: {}: below 0", request.seed()));
  }
  if (request.points() == 0 && (request.wants_split() || request.seed() != 0)) {
    return absl::InvalidArgumentError(
        fmt::format("{}: without points every row is fitted; give --points", request.wants_split() ? "split" : "seed"));
  }
  return absl::OkStatus();
}

v1::CalibrationSummary SummaryOf(const LawFile& file, size_t table_rows) {
  v1::CalibrationSummary summary;
  summary.set_device(file.model.device.name);
  summary.set_profile(std::string(OriginName(file.origin)));
  summary.set_table_device(file.table_device);
  summary.set_rows(file.rows);
  summary.set_rows_sha256(file.rows_sha256);
  summary.set_table_rows(static_cast<int64_t>(table_rows));
  if (file.points) {
    summary.set_points(*file.points);
    summary.set_seed(file.seed.value_or(0));
  }
  for (auto& [name, score] : HeldOutScores(file.model)) {
    (*summary.mutable_held_out())[name] = std::move(score);
  }
  summary.set_tool_version(file.tool_version);
  return summary;
}

// The laws of a file, made for today's where they are not.
absl::StatusOr<LawFile> ReadLaws(const v1::EvalCalibrationRequest& request, std::string_view text, Notes* notes) {
  absl::StatusOr<LawFile> file = ReadLawFile(text);
  if (!file.ok()) {
    return InFile("calibration", request.calibration_file_name(), file.status());
  }
  if (file->law_revision == kLawRevision) {
    return file;
  }
  const std::string whose = fmt::format("laws of revision {}, today's are {}", file->law_revision, kLawRevision);
  if (!request.allow_stale()) {
    return absl::FailedPreconditionError(
        fmt::format("calibration '{}': stale: {}; fit its table again, or give --allow-stale",
                    request.calibration_file_name(), whose));
  }
  notes->Add(fmt::format("the calibration is stale ({}): its rows were fitted anew", whose));
  DSOCR_ASSIGN_OR_RETURN(file->model, analytic::FitLaws(file->model.device, std::move(file->model.samples)));
  return file;
}

// Which device rows are predicted for, and whose datasheet the baselines take.
struct EvalTarget {
  Device device;
  std::optional<Device> datasheet;
};

absl::StatusOr<EvalTarget> TargetOf(const v1::ProfileChoice& choice, const LawFile& file, const OperatorTable& table,
                                    Notes* notes) {
  const Device& calibrated = file.model.device;
  const bool is_estimated = file.origin == ProfileOrigin::kEstimated;
  const bool is_same_string = table.device == file.table_device;
  DSOCR_ASSIGN_OR_RETURN(const std::optional<DeviceProfile> chosen, ChosenProfile(choice));
  if (chosen && is_estimated && is_same_string) {
    notes->Add("the calibration estimated its peaks from rows: the device profile serves the baselines alone");
    return EvalTarget{calibrated, chosen->device};
  }
  if (chosen) {
    return EvalTarget{chosen->device, chosen->device};
  }
  if (is_same_string) {
    return EvalTarget{calibrated, is_estimated ? std::nullopt : std::optional(calibrated)};
  }
  DSOCR_ASSIGN_OR_RETURN(const DeviceProfile profile, ProfileOfTable(choice, table.device, table.rows, notes));
  return EvalTarget{profile.device,
                    profile.origin == ProfileOrigin::kEstimated ? std::nullopt : std::optional(profile.device)};
}

void NoteUnfittedOps(const analytic::LawModel& model, const std::vector<Sample>& rows, Notes* notes) {
  std::set<Op> fitted;
  for (const Sample& sample : model.samples) {
    fitted.insert(OpOf(sample.size));
  }
  std::set<Op> scored;
  for (const Sample& row : rows) {
    scored.insert(OpOf(row.size));
  }
  for (const Op op : scored) {
    if (!fitted.contains(op)) {
      notes->Add(fmt::format("{}: the calibration has no row of it; predicted from the device's figures", OpName(op)));
    }
  }
}

}  // namespace

absl::StatusOr<FittedTable> FitTable(const v1::FitCalibrationRequest& request, std::string_view table_text,
                                     std::string_view tool_version, const std::function<bool()>& is_cancelled) {
  Notes notes;
  DSOCR_ASSIGN_OR_RETURN(OperatorTable table, ReadTable(table_text, request.table_file_name(), &notes));
  DSOCR_RETURN_IF_ERROR(KeepOp(request.op(), request.table_file_name(), &table.rows));
  DSOCR_RETURN_IF_ERROR(CheckDraw(request, table.rows.size()));
  LawFile file{.tool_version = std::string(tool_version), .table_device = table.device};
  Split split;
  if (request.points() > 0) {
    split = DrawRows(table.rows, static_cast<size_t>(request.points()), request.seed());
    file.points = request.points();
    file.seed = request.seed();
  }
  const std::vector<Sample>& rows = request.points() > 0 ? split.drawn : table.rows;
  DSOCR_ASSIGN_OR_RETURN(DeviceProfile profile, ProfileOfTable(request.profile(), table.device, rows, &notes));
  file.origin = profile.origin;
  file.rows = static_cast<int64_t>(rows.size());
  file.rows_sha256 = RowsDigest(rows);
  if (is_cancelled()) {
    return absl::CancelledError("call: the caller has gone; call again");
  }
  absl::StatusOr<analytic::LawModel> model = analytic::FitLaws(profile.device, rows);
  if (!model.ok()) {
    return InFile("table", request.table_file_name(), NameRow(model.status(), rows));
  }
  file.model = *std::move(model);
  FittedTable fitted;
  fitted.summary = SummaryOf(file, table.rows.size());
  *fitted.summary.mutable_notes() = std::move(notes);
  fitted.calibration = WriteLawFile(file);
  if (const absl::Status readable = ReadLawFile(fitted.calibration).status(); !readable.ok()) {
    return absl::InternalError(fmt::format("table '{}': its laws make no calibration: {}; fit fewer or other rows",
                                           request.table_file_name(), std::string(readable.message())));
  }
  if (request.wants_split()) {
    fitted.split = WriteSplit(split);
  }
  return fitted;
}

absl::StatusOr<v1::EvalCalibrationResponse> EvalTable(const v1::EvalCalibrationRequest& request,
                                                      const UploadedFiles& files,
                                                      const std::function<bool()>& is_cancelled) {
  v1::EvalCalibrationResponse response;
  Notes* notes = response.mutable_notes();
  DSOCR_ASSIGN_OR_RETURN(const LawFile file, ReadLaws(request, files.calibration, notes));
  DSOCR_ASSIGN_OR_RETURN(const OperatorTable table, ReadTable(files.table, request.table_file_name(), notes));
  DSOCR_ASSIGN_OR_RETURN(const EvalTarget target, TargetOf(request.profile(), file, table, notes));
  std::vector<Sample> rows = table.rows;
  DSOCR_RETURN_IF_ERROR(KeepOp(request.op(), request.table_file_name(), &rows));
  const size_t rows_of_op = rows.size();
  if (!files.split.empty() || !request.split_file_name().empty()) {
    const absl::StatusOr<Split> split = ReadSplit(files.split);
    absl::StatusOr<std::vector<Sample>> rest = split.ok() ? RowsWithout(*split, table.rows) : split.status();
    if (!rest.ok()) {
      return InFile("split", request.split_file_name(), rest.status());
    }
    rows = *std::move(rest);
    DSOCR_RETURN_IF_ERROR(KeepOp(request.op(), request.table_file_name(), &rows));
  }
  const bool is_transfer = target.device.name != file.model.device.name;
  if (!is_transfer) {  // of another device, no row was seen
    std::erase_if(rows, [&](const Sample& row) { return HasSeen(file.model, row); });
  } else if (file.origin == ProfileOrigin::kEstimated) {
    notes->Add(
        "the calibration's peaks are estimated, not its datasheet's: fit it with --device-profile for transfers");
  }
  NoteUnfittedOps(file.model, rows, notes);
  // Sums of the same rows in another order would have other bits.
  std::sort(rows.begin(), rows.end(), [](const Sample& a, const Sample& b) {
    return std::tie(a.size, a.precision, a.time_ns) < std::tie(b.size, b.precision, b.time_ns);
  });
  const Judges judges{&target.device, target.datasheet ? &*target.datasheet : nullptr, is_cancelled};
  DSOCR_ASSIGN_OR_RETURN(const auto scores, ScoreRows(file.model, rows, judges));
  if (scores.empty()) {
    notes->Add("every row of the table was fitted: there is none to judge by");
  }
  for (const auto& [name, score] : scores) {
    (*response.mutable_classes())[name] = score;
  }
  response.set_device(target.device.name);
  response.set_calibration_device(file.model.device.name);
  response.set_is_transfer(is_transfer);
  response.set_table_rows(static_cast<int64_t>(table.rows.size()));
  response.set_scored_rows(static_cast<int64_t>(rows.size()));
  response.set_seen_rows(static_cast<int64_t>(rows_of_op - rows.size()));
  response.set_calibration_rows(file.rows);
  response.set_calibration_sha256(file.rows_sha256);
  return response;
}

}  // namespace dsocr::calibrate
