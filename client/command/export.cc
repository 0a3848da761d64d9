#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "base/status.h"
#include "client/command/commands.h"
#include "client/output_file.h"
#include "client/session.h"
#include "fmt/format.h"

namespace dsocr::client {
namespace {

constexpr std::array<std::string_view, 5> kLaterFormats = {"html", "perfetto", "chrome", "pprof", "folded"};

v1::ExportFormat FormatOf(const std::string& word) {
  return word == "json"       ? v1::EXPORT_FORMAT_JSON
         : word == "yaml"     ? v1::EXPORT_FORMAT_YAML
         : word == "markdown" ? v1::EXPORT_FORMAT_MARKDOWN
                              : v1::EXPORT_FORMAT_CSV;
}

absl::StatusOr<int> Export(Session& session) {
  const CommandLine& line = session.line();
  if (!line.Has("--format")) {
    return absl::InvalidArgumentError("--format is missing; give json, yaml, markdown or csv");
  }
  const std::string format = line.Text("--format");
  if (std::find(kLaterFormats.begin(), kLaterFormats.end(), format) != kLaterFormats.end()) {
    return absl::InvalidArgumentError(
        fmt::format("--format {}: not in this release; give json, yaml, markdown or csv", format));
  }
  v1::ExportReportRequest request;
  request.set_report_id(line.arguments[0]);
  request.set_format(FormatOf(format));
  std::optional<OutputFile> file;
  if (line.Has("--out")) {
    DSOCR_ASSIGN_OR_RETURN(OutputFile created,
                           OutputFile::Create(AbsolutePath(session.io(), line.Text("--out")), line.Has("--force")));
    file.emplace(std::move(created));
  }
  DSOCR_ASSIGN_OR_RETURN(Daemon * daemon, session.Connect());
  const std::unique_ptr<grpc::ClientContext> context = daemon->NewContext();
  const auto reader = daemon->analytic().ExportReport(context.get(), request);
  v1::Chunk chunk;
  absl::Status written;
  while (written.ok() && reader->Read(&chunk)) {
    if (file) {
      written = file->Write(chunk.data());
    } else {
      session.Out(chunk.data());
    }
  }
  if (!written.ok()) {
    context->TryCancel();
    reader->Finish();
    return written;
  }
  DSOCR_RETURN_IF_ERROR(daemon->Translate(reader->Finish()));
  if (file) {
    DSOCR_RETURN_IF_ERROR(file->Commit());
  }
  return kExitDone;
}

}  // namespace

Command ExportCommand() {
  std::vector<std::string_view> formats = {"json", "yaml", "markdown", "csv"};
  formats.insert(formats.end(), kLaterFormats.begin(), kLaterFormats.end());
  return {.name = "export",
          .arguments = "ID|latest --format FORMAT",
          .summary = "a report as a file",
          .examples =
              "  dsocrctl export latest --format json --out report.json\n"
              "  dsocrctl export r-1842 --format csv | sort -t, -k5 -g\n",
          .min_arguments = 1,
          .max_arguments = 1,
          .flags = {{"--format", ValueKind::kChoice, "FORMAT", "json, yaml, markdown or csv; the others come later",
                     formats},
                    {"--out", ValueKind::kPath, "PATH", "write to this file, whole or not at all (default: stdout)"},
                    {"--force", ValueKind::kSwitch, "", "overwrite an existing --out"}},
          .run = Export};
}

}  // namespace dsocr::client
