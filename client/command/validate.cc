#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/synchronization/mutex.h"
#include "base/status.h"
#include "client/command/commands.h"
#include "client/command/request.h"
#include "client/interrupt.h"
#include "client/output_file.h"
#include "client/render/junit.h"
#include "client/render/print.h"
#include "client/render/validation_table.h"
#include "client/session.h"
#include "fmt/format.h"
#include "proto/document.h"

namespace dsocr::client {
namespace {

constexpr size_t kMaxSuiteBytes = 1 << 20;
constexpr int64_t kHistoryLimit = 30;

std::string StateOf(v1::RunState state) {
  const auto* value = v1::RunState_descriptor()->FindValueByNumber(state);
  return value == nullptr ? "running" : document::EnumWord(*value);
}

// 15, 15% or 12.5.
absl::StatusOr<double> PercentOf(std::string text, std::string_view flag) {
  if (text.ends_with('%')) {
    text.pop_back();
  }
  double value = 0;
  if (!absl::SimpleAtod(text, &value) || !std::isfinite(value) || value < 0) {
    return absl::InvalidArgumentError(fmt::format("{} '{}': not a percentage; give a number from 0 on", flag, text));
  }
  return value;
}

absl::StatusOr<v1::ValidationSuite> ReadSuite(const Io& io, const std::string& file) {
  const std::string path = AbsolutePath(io, file);
  DSOCR_ASSIGN_OR_RETURN(const std::string text, ReadFile("--suite", path, kMaxSuiteBytes));
  v1::ValidationSuite suite;
  const document::Format format = path.ends_with(".json") ? document::Format::kJson : document::Format::kYaml;
  if (const absl::Status parsed = document::ParsePartial(text, format, &suite); !parsed.ok()) {
    return absl::InvalidArgumentError(
        fmt::format("--suite '{}': {}; docs/validation.md has the keys", path, std::string(parsed.message())));
  }
  // A model beside the suite goes with it.
  for (v1::ValidationCase& of : *suite.mutable_cases()) {
    if (!of.model().empty() && of.model() != "small") {
      of.set_model((std::filesystem::path(path).parent_path() / of.model()).lexically_normal().string());
    }
  }
  return suite;
}

absl::StatusOr<v1::ValidateRequest> MakeValidate(Session& session) {
  const CommandLine& line = session.line();
  v1::ValidateRequest request;
  request.set_artifacts_root(ArtifactsRoot(line, session.io()));
  request.set_device(line.Text("--device"));
  if (line.Has("--suite")) {
    DSOCR_ASSIGN_OR_RETURN(*request.mutable_suite(), ReadSuite(session.io(), line.Text("--suite")));
  }
  if (line.Has("--max-error")) {
    DSOCR_ASSIGN_OR_RETURN(const double percent, PercentOf(line.Text("--max-error"), "--max-error"));
    request.set_max_error_pct(percent);
  }
  const std::string baseline = line.Text("--baseline");
  if (NamesFile(session.io(), baseline)) {
    const std::string path = AbsolutePath(session.io(), baseline);
    DSOCR_ASSIGN_OR_RETURN(const std::string text, ReadFile("--baseline", path, document::kMaxBytes));
    const absl::Status parsed =
        document::Parse(text, document::FormatOfFileName(path), /*allow_unknown=*/true, request.mutable_baseline());
    if (!parsed.ok()) {
      return absl::InvalidArgumentError(fmt::format("--baseline '{}': {}; give what 'dsocrctl validate -o json' wrote",
                                                    path, std::string(parsed.message())));
    }
  } else {
    request.set_baseline_id(baseline);
  }
  return request;
}

// Follows a validation, says on stderr how it goes, and ends it on Ctrl-C. Made before anything talks to the daemon.
class ValidationWatch {
 public:
  explicit ValidationWatch(Session& session) : session_(session), interrupts_([this](int) { Interrupt(); }) {}

  absl::StatusOr<v1::Validation> Follow(Daemon& daemon, const v1::ValidateRequest& request) {
    const std::unique_ptr<grpc::ClientContext> context = daemon.NewContext();
    {
      absl::MutexLock lock(&mutex_);
      context_ = context.get();
    }
    const auto reader = daemon.validation().Validate(context.get(), request);
    if (interrupts_.was_interrupted()) {
      context->TryCancel();
    }
    std::optional<v1::Validation> result;
    for (v1::ValidateEvent event; reader->Read(&event);) {
      if (event.has_result()) {
        result = std::move(*event.mutable_result());
      } else {
        Show(event);
      }
    }
    ClearLine();
    const grpc::Status status = reader->Finish();
    {
      absl::MutexLock lock(&mutex_);
      context_ = nullptr;
    }
    if (interrupts_.was_interrupted() && !result) {
      return absl::CancelledError("validate: cancelled by you; start it again with 'dsocrctl validate'");
    }
    DSOCR_RETURN_IF_ERROR(daemon.Translate(status));
    if (!result) {
      return absl::InternalError("validate: the daemon ended without a verdict; see its log");
    }
    return *std::move(result);
  }

 private:
  void Interrupt() {
    absl::MutexLock lock(&mutex_);
    if (context_ != nullptr) {
      context_->TryCancel();
    }
  }

  void Show(const v1::ValidateEvent& event) {
    const std::string what = fmt::format("{}: {}", event.case_name(), StateOf(event.state()));
    if (session_.shows_progress()) {
      ClearLine();
      const std::string percent = event.has_progress() ? fmt::format(" {:3.0f} %", 100 * event.progress()) : "";
      session_.io().Err(fmt::format("{}{}  {}", what, percent, event.message()));
      has_line_ = true;
    } else if (std::exchange(shown_, what) != what && event.state() != v1::RUN_STATE_DONE) {
      session_.Say(fmt::format("dsocrctl: {}{}{}\n", what, event.message().empty() ? "" : ": ", event.message()));
    }
  }

  void ClearLine() {
    if (std::exchange(has_line_, false)) {
      session_.io().Err("\r\033[K");
    }
  }

  Session& session_;
  absl::Mutex mutex_;
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;  // while a validation is followed
  bool has_line_ = false;                                           // a progress line stands on the terminal
  std::string shown_;
  InterruptWatch interrupts_;  // last: its thread uses the others
};

int ExitCodeOf(const v1::Validation& validation) {
  for (const v1::CaseVerdict& verdict : validation.cases()) {
    if (verdict.has_error()) {
      return kExitFailed;
    }
  }
  return validation.passed() ? kExitDone : kExitOutOfBound;
}

absl::StatusOr<int> ShowHistory(Session& session) {
  const int64_t limit = session.line().Integer("--limit").value_or(kHistoryLimit);
  if (limit <= 0) {
    return absl::InvalidArgumentError(
        fmt::format("--limit {}: not positive; give the number of validations to list", limit));
  }
  v1::ListValidationsRequest request;
  request.set_page_size(static_cast<int32_t>(std::min<int64_t>(limit, 1000)));
  if (session.line().Has("--suite")) {
    DSOCR_ASSIGN_OR_RETURN(const v1::ValidationSuite suite, ReadSuite(session.io(), session.line().Text("--suite")));
    request.set_suite(suite.name());
  }
  DSOCR_ASSIGN_OR_RETURN(Daemon * daemon, session.Connect());
  DSOCR_ASSIGN_OR_RETURN(const v1::ListValidationsResponse history,
                         daemon->Call(&v1::ValidationService::Stub::ListValidations, request));
  if (session.output() == "table") {
    session.Out(HistoryText(history, session.out_has_color()));
  } else if (session.output() == "markdown") {
    session.Out(HistoryMarkdown(history));
  } else {
    Print(session, history, HistoryTable(history));
  }
  return kExitDone;
}

absl::StatusOr<int> Validate(Session& session) {
  if (session.line().Has("--history")) {
    return ShowHistory(session);
  }
  DSOCR_ASSIGN_OR_RETURN(const v1::ValidateRequest request, MakeValidate(session));
  std::optional<OutputFile> junit;
  if (session.line().Has("--junit")) {
    DSOCR_ASSIGN_OR_RETURN(
        OutputFile created,
        OutputFile::Create(AbsolutePath(session.io(), session.line().Text("--junit")), session.line().Has("--force")));
    junit.emplace(std::move(created));
  }
  ValidationWatch watch(session);
  DSOCR_ASSIGN_OR_RETURN(Daemon * daemon, session.Connect());
  DSOCR_ASSIGN_OR_RETURN(const v1::Validation validation, watch.Follow(*daemon, request));
  if (junit) {
    DSOCR_RETURN_IF_ERROR(junit->Write(JUnitXml(validation)));
    DSOCR_RETURN_IF_ERROR(junit->Commit());
  }
  if (session.output() == "table") {
    session.Out(ValidationText(validation, session.out_has_color()));
  } else if (session.output() == "markdown") {
    session.Out(ValidationMarkdown(validation));
  } else {
    Print(session, validation, ValidationTable(validation));
  }
  return ExitCodeOf(validation);
}

}  // namespace

Command ValidateCommand() {
  return {
      .name = "validate",
      .arguments = "[FLAGS]",
      .summary = "predict a suite, run it, and judge the predictions; 5 where one is outside its bound",
      .examples =
          "  dsocrctl validate                                         the built-in suite of this machine\n"
          "  dsocrctl validate --suite nightly.yaml --junit out.xml    your workloads and bounds, for CI\n"
          "  dsocrctl validate --baseline latest                       has a module become slower?\n"
          "  dsocrctl validate -o json > baseline.json                 a baseline to keep in a repository\n"
          "  dsocrctl validate --history                               the trend, as a chart and a table\n",
      .outputs = kAllOutputs,
      .flags = {{"--suite", ValueKind::kPath, "FILE", "suite to validate, YAML or JSON (default: the built-in one)"},
                {"--device", ValueKind::kText, "DEVICE",
                 "auto, cpu or cuda:N, in place of the cases' own (default: theirs)"},
                {"--baseline", ValueKind::kText, "ID|latest|FILE",
                 "fail if a module is slower than in this validation; a file is one of -o json"},
                {"--max-error", ValueKind::kText, "PCT",
                 "bound of every time, in percent of the measured one (default: the suite's)"},
                {"--junit", ValueKind::kPath, "FILE", "write a JUnit report as well"},
                {"--force", ValueKind::kSwitch, "", "overwrite an existing --junit file"},
                {"--history", ValueKind::kSwitch, "", "show earlier validations and run nothing"},
                {"--limit", ValueKind::kInteger, "N", "with --history: the newest N validations (default 30)"},
                ArtifactsDirFlag()},
      .run = Validate};
}

}  // namespace dsocr::client
