#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "client/command/commands.h"
#include "client/command/request.h"
#include "client/command/upload.h"
#include "client/output_file.h"
#include "client/render/calibration_table.h"
#include "client/render/print.h"
#include "client/session.h"
#include "fmt/format.h"

namespace dsocr::client {
namespace {

constexpr size_t kMaxTableBytes = size_t{64} << 20;  // what the daemon takes
constexpr size_t kMaxCalibrationBytes = size_t{32} << 20;
constexpr size_t kMaxProfileBytes = 64 * 1024;

struct NamedFile {
  std::string name;
  std::string bytes;
};

// The file that `flag` names; an empty one where it is not given.
absl::StatusOr<NamedFile> ReadFlagFile(Session& session, std::string_view what, std::string_view flag,
                                       size_t max_bytes) {
  const CommandLine& line = session.line();
  if (!line.Has(flag)) {
    return NamedFile();
  }
  const std::string path = AbsolutePath(session.io(), line.Text(flag));
  NamedFile file{.name = std::filesystem::path(path).filename().string(), .bytes = {}};
  DSOCR_ASSIGN_OR_RETURN(file.bytes, ReadFile(std::string(what), path, max_bytes));
  return file;
}

absl::Status Require(const CommandLine& line, std::vector<std::string_view> flags) {
  for (const std::string_view flag : flags) {
    if (!line.Has(flag)) {
      return absl::InvalidArgumentError(
          fmt::format("{}: it is missing; 'dsocrctl {} --help' shows how", flag, line.command->name));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::ProfileChoice> ChooseProfile(Session& session) {
  const std::string text = session.line().Text("--device-profile");
  v1::ProfileChoice choice;
  if (!text.empty() && NamesFile(session.io(), text)) {
    DSOCR_ASSIGN_OR_RETURN(NamedFile file,
                           ReadFlagFile(session, "device profile", "--device-profile", kMaxProfileBytes));
    choice.set_file_name(std::move(file.name));
    choice.set_data(std::move(file.bytes));
  } else {
    choice.set_name(text);
  }
  return choice;
}

// A file of the answer, written once all of it is there.
absl::StatusOr<std::optional<OutputFile>> CreateOutput(Session& session, std::string_view flag) {
  const CommandLine& line = session.line();
  if (!line.Has(flag)) {
    return std::nullopt;
  }
  DSOCR_ASSIGN_OR_RETURN(OutputFile file,
                         OutputFile::Create(AbsolutePath(session.io(), line.Text(flag)), line.Has("--force")));
  return std::optional<OutputFile>(std::move(file));
}

absl::Status Deliver(std::string_view text, std::optional<OutputFile>* file) {
  if (*file) {
    DSOCR_RETURN_IF_ERROR((*file)->Write(text));
    return (*file)->Commit();
  }
  return absl::OkStatus();
}

void SayNotes(Session& session, const google::protobuf::RepeatedPtrField<std::string>& notes) {
  for (const std::string& note : notes) {
    session.Say(fmt::format("dsocrctl: note: {}\n", note));
  }
}

absl::StatusOr<int> Fit(Session& session) {
  const CommandLine& line = session.line();
  DSOCR_RETURN_IF_ERROR(Require(line, {"--table", "--out"}));
  v1::FitCalibrationRequest request;
  request.set_op(line.Text("--op"));
  request.set_points(line.Integer("--points").value_or(0));
  request.set_seed(line.Integer("--seed").value_or(0));
  request.set_wants_split(line.Has("--split"));
  if (line.Has("--points") && request.points() <= 0) {
    return absl::InvalidArgumentError(fmt::format("--points {}: give at least 1", request.points()));
  }
  DSOCR_ASSIGN_OR_RETURN(*request.mutable_profile(), ChooseProfile(session));
  DSOCR_ASSIGN_OR_RETURN(NamedFile table, ReadFlagFile(session, "table", "--table", kMaxTableBytes));
  request.set_table_file_name(std::move(table.name));
  DSOCR_ASSIGN_OR_RETURN(std::optional<OutputFile> out, CreateOutput(session, "--out"));
  DSOCR_ASSIGN_OR_RETURN(std::optional<OutputFile> split_out, CreateOutput(session, "--split"));
  DSOCR_ASSIGN_OR_RETURN(Daemon * daemon, session.Connect());

  const std::unique_ptr<grpc::ClientContext> context = daemon->NewContext();
  const auto stream = daemon->validation().FitCalibration(context.get());
  SendPieces(std::move(request), table.bytes, stream.get(),
             [](v1::FitCalibrationRequest* message, std::string piece) { message->set_table(std::move(piece)); });
  stream->WritesDone();
  v1::CalibrationSummary summary;
  std::string calibration;
  std::string split;
  for (v1::FitCalibrationResponse part; stream->Read(&part);) {
    if (part.has_summary()) {
      summary = std::move(*part.mutable_summary());
    }
    calibration += part.calibration();
    split += part.split();
  }
  DSOCR_RETURN_IF_ERROR(daemon->Translate(stream->Finish()));
  DSOCR_RETURN_IF_ERROR(Deliver(split, &split_out));
  DSOCR_RETURN_IF_ERROR(Deliver(calibration, &out));
  if (session.output() == "table") {
    session.Out(FitText(summary, session.out_has_color()));
  } else {
    Print(session, summary, HeldOutTable(summary));
  }
  SayNotes(session, summary.notes());
  return kExitDone;
}

absl::StatusOr<int> Eval(Session& session) {
  const CommandLine& line = session.line();
  DSOCR_RETURN_IF_ERROR(Require(line, {"--table", "--calibration"}));
  v1::EvalCalibrationRequest request;
  request.set_op(line.Text("--op"));
  request.set_allow_stale(line.Has("--allow-stale"));
  DSOCR_ASSIGN_OR_RETURN(*request.mutable_profile(), ChooseProfile(session));
  DSOCR_ASSIGN_OR_RETURN(NamedFile table, ReadFlagFile(session, "table", "--table", kMaxTableBytes));
  DSOCR_ASSIGN_OR_RETURN(NamedFile calibration,
                         ReadFlagFile(session, "calibration", "--calibration", kMaxCalibrationBytes));
  DSOCR_ASSIGN_OR_RETURN(NamedFile split, ReadFlagFile(session, "split", "--split", kMaxTableBytes));
  request.set_table_file_name(std::move(table.name));
  request.set_calibration_file_name(std::move(calibration.name));
  request.set_split_file_name(std::move(split.name));
  DSOCR_ASSIGN_OR_RETURN(Daemon * daemon, session.Connect());

  v1::EvalCalibrationResponse response;
  const std::unique_ptr<grpc::ClientContext> context = daemon->NewContext();
  const auto writer = daemon->validation().EvalCalibration(context.get(), &response);
  using Request = v1::EvalCalibrationRequest;
  [[maybe_unused]] const bool is_taken =  // where it is not, the status says why
      SendPieces(std::move(request), calibration.bytes, writer.get(),
                 [](Request* message, std::string piece) { message->set_calibration(std::move(piece)); }) &&
      SendPieces(Request(), split.bytes, writer.get(),
                 [](Request* message, std::string piece) { message->set_split(std::move(piece)); }) &&
      SendPieces(Request(), table.bytes, writer.get(),
                 [](Request* message, std::string piece) { message->set_table(std::move(piece)); });
  writer->WritesDone();
  DSOCR_RETURN_IF_ERROR(daemon->Translate(writer->Finish()));
  if (session.output() == "table") {
    session.Out(EvalText(response, session.out_has_color()));
  } else {
    Print(session, response, ScoreTable(response));
  }
  SayNotes(session, response.notes());
  return kExitDone;
}

absl::StatusOr<int> Calibrate(Session& session) {
  const CommandLine& line = session.line();
  v1::CalibrateRequest request;
  request.set_device(line.Text("--device"));
  request.set_dtype(line.Text("--dtype"));
  request.set_allow_stale(line.Has("--allow-stale"));
  request.set_budget_ms(absl::ToInt64Milliseconds(line.Duration("--budget").value_or(absl::ZeroDuration())));
  request.set_report_id(line.Text("--run"));
  DSOCR_ASSIGN_OR_RETURN(Daemon * daemon, session.Connect());
  const std::unique_ptr<grpc::ClientContext> context = daemon->NewContext();
  const auto reader = daemon->validation().Calibrate(context.get(), request);
  v1::DeviceCalibration result;
  for (v1::CalibrateEvent event; reader->Read(&event);) {
    if (event.has_result()) {
      result = std::move(*event.mutable_result());
    } else {
      session.Say(fmt::format("dsocrctl: {}\n", event.message()));
    }
  }
  DSOCR_RETURN_IF_ERROR(daemon->Translate(reader->Finish()));
  if (result.has_stale()) {
    session.Say(fmt::format("dsocrctl: note: nothing was measured: a calibration of {} is kept\n", result.stale()));
  }
  if (session.output() == "table") {
    session.Out(DeviceCalibrationText(result, session.out_has_color()));
  } else {
    Print(session, result, DeviceCalibrationTable(result));
  }
  return kExitDone;
}

Flag ProfileFlag() {
  return {"--device-profile", ValueKind::kText, "NAME|FILE",
          "device of 'dsocrctl devices', or its figures as JSON or YAML (default: the table's)"};
}

Flag OpFlag() {
  return {"--op",
          ValueKind::kChoice,
          "OP",
          "gemm, attention or moe: only the rows of one (default: all)",
          {"gemm", "attention", "moe"}};
}

Flag TableFlag() { return {"--table", ValueKind::kPath, "FILE", "measured operators, .csv or .csv.gz"}; }

}  // namespace

Command CalibrateCommand() {
  return {.name = "calibrate",
          .arguments = "[FLAGS]",
          .summary = "measure a device of this machine, so that predictions for it rest on what it does",
          .examples =
              "  dsocrctl calibrate --device cpu                             three minutes, on a GPU ten\n"
              "  dsocrctl calibrate --device cuda:0 --dtype fp32 --budget 2m\n"
              "  dsocrctl calibrate --device cpu --run latest                with the operators of a measured run\n"
              "  dsocrctl calibrate fit --table h100.csv.gz --out h100.json  from a table that others measured\n"
              "  dsocrctl calibrate eval --table h100.csv.gz --calibration h100.json\n",
          .outputs = kAllOutputs,
          .flags = {{"--device", ValueKind::kText, "NAME", "auto, cpu or cuda:N (default auto)"},
                    {"--dtype", ValueKind::kChoice, "TYPE", "fp32 or bf16 (default bf16)", {"fp32", "bf16"}},
                    {"--budget", ValueKind::kDuration, "DURATION",
                     "measure for at most this long, 1s to 1h (default 3m on a CPU, 10m on a GPU)"},
                    {"--run", ValueKind::kText, "ID|latest",
                     "add a measured report's operators to the newest calibration, with --budget to a new one"},
                    {"--allow-stale", ValueKind::kSwitch, "",
                     "keep what another driver or version measured, where there is such a thing"}},
          .run = Calibrate};
}

Command CalibrateFitCommand() {
  return {
      .name = "calibrate fit",
      .arguments = "--table FILE --out FILE [FLAGS]",
      .summary = "fit operator laws to a table of measured operators",
      .examples =
          "  dsocrctl calibrate fit --table h100.csv.gz --out h100.json\n"
          "  dsocrctl calibrate fit --table h100.csv.gz --op gemm --points 60 --seed 1 --split s.json --out c.json\n"
          "  dsocrctl calibrate fit --table new.csv --device-profile new.yaml --out new.json\n",
      .outputs = kAllOutputs,
      .flags = {TableFlag(),
                {"--out", ValueKind::kPath, "FILE", "where the calibration goes, JSON"},
                {"--points", ValueKind::kInteger, "N", "rows drawn at random (default: every row)"},
                {"--seed", ValueKind::kInteger, "S", "of the draw (default 0): the same rows on any machine"},
                {"--split", ValueKind::kPath, "FILE", "where the drawn rows go, for eval --split"},
                OpFlag(),
                ProfileFlag(),
                {"--force", ValueKind::kSwitch, "", "overwrite existing files"}},
      .run = Fit};
}

Command CalibrateEvalCommand() {
  return {
      .name = "calibrate eval",
      .arguments = "--table FILE --calibration FILE [FLAGS]",
      .summary = "how well a calibration predicts the rows of a table that it has not seen",
      .examples =
          "  dsocrctl calibrate eval --table h100.csv.gz --calibration h100.json\n"
          "  dsocrctl calibrate eval --table h100.csv.gz --calibration c.json --split s.json -o json\n"
          "  dsocrctl calibrate eval --table h200.csv --calibration h100.json --device-profile h200-sxm   a transfer\n",
      .outputs = kAllOutputs,
      .flags = {TableFlag(),
                {"--calibration", ValueKind::kPath, "FILE", "what 'calibrate fit' wrote"},
                {"--split", ValueKind::kPath, "FILE", "of 'calibrate fit': rows that are not scored"},
                OpFlag(),
                ProfileFlag(),
                {"--allow-stale", ValueKind::kSwitch, "", "take a calibration that an older version fitted"}},
      .run = Eval};
}

}  // namespace dsocr::client
