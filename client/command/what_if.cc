#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "client/command/commands.h"
#include "client/command/request.h"
#include "client/command/upload.h"
#include "client/render/print.h"
#include "client/render/what_if_table.h"
#include "client/session.h"
#include "fmt/format.h"
#include "proto/document.h"

namespace dsocr::client {
namespace {

// The knobs: the daemon's names are these with underscores. It checks the values.
std::vector<Flag> KnobFlags() {
  return {
      {"--peak-tflops", ValueKind::kText, "TFLOPS", "matrix peak in the scenario's dtype, dense, 1e12 FLOP/s"},
      {"--memory-bandwidth-gbs", ValueKind::kText, "GBS", "memory bandwidth, 1e9 bytes/s"},
      {"--batch-scale", ValueKind::kText, "FACTOR", "requests at once, times the report's batch"},
      {"--device-profile", ValueKind::kText, "NAME", "another device of 'dsocrctl devices'"},
      {"--seq-len", ValueKind::kInteger, "TOKENS", "prompt, image tokens included"},
      {"--page", ValueKind::kPage, "WxH", "page in pixels, such as 1240x1754"},
      {"--base-size", ValueKind::kInteger, "PIXELS", "side of the global view"},
      {"--image-size", ValueKind::kInteger, "PIXELS", "side of a crop, or of the single view"},
      {"--crop-mode", ValueKind::kChoice, "0|1", "cut the page into crops", {"0", "1"}},
      {"--max-new-tokens", ValueKind::kInteger, "TOKENS", "tokens to generate"},
      {"--dtype",
       ValueKind::kChoice,
       "TYPE",
       "fp32, tf32, bf16, or weights alone in fp8w, int4w",
       {"fp32", "tf32", "bf16", "fp8w", "int4w"}},
      {"--cuda-graphs", ValueKind::kChoice, "0|1", "replay the steps of decode as CUDA graphs", {"0", "1"}},
      {"--data-parallel", ValueKind::kInteger, "N", "devices that share the requests of a batch (default 1)"},
      {"--tensor-parallel", ValueKind::kInteger, "N", "devices that share every matrix of the decoder (default 1)"},
      {"--expert-parallel", ValueKind::kInteger, "N", "devices that share requests and experts (default 1)"},
      {"--link-gbs", ValueKind::kText, "GBS",
       "bandwidth between devices, each way, 1e9 bytes/s (default: the device's)"},
  };
}

std::string KnobOf(std::string_view flag) {
  std::string knob(flag.substr(2));
  for (char& c : knob) {
    c = c == '-' ? '_' : c;
  }
  return knob;
}

WhatIfView ViewOf(const CommandLine& line) {
  return line.Has("--tornado") ? WhatIfView::kTornado
         : line.Has("--sweep") ? WhatIfView::kScenarios
                               : WhatIfView::kModules;
}

absl::StatusOr<v1::WhatIfResponse> Ask(Daemon& daemon, v1::WhatIfRequest request, std::string_view text) {
  const std::unique_ptr<grpc::ClientContext> context = daemon.NewContext();
  const auto stream = daemon.analytic().WhatIf(context.get());
  SendInChunks(std::move(request), text, stream.get());
  v1::WhatIfResponse response;
  for (v1::WhatIfResponse part; stream->Read(&part);) {
    response.MergeFrom(part);
  }
  DSOCR_RETURN_IF_ERROR(daemon.Translate(stream->Finish()));
  return response;
}

absl::StatusOr<int> WhatIf(Session& session) {
  const CommandLine& line = session.line();
  const std::string& report = line.arguments[0];
  const WhatIfView view = ViewOf(line);
  const bool is_document = session.output() == "json" || session.output() == "yaml";
  v1::WhatIfRequest request;
  for (const Flag& flag : KnobFlags()) {
    if (line.Has(flag.name)) {
      (*request.mutable_parameters())[KnobOf(flag.name)] = line.Text(flag.name);
    }
  }
  for (std::string& sweep : line.All("--sweep")) {
    request.add_sweeps(std::move(sweep));
  }
  request.set_tornado(line.Has("--tornado"));
  request.set_totals_only(!is_document && view != WhatIfView::kModules);
  std::string text;
  if (NamesFile(session.io(), report)) {
    const std::string path = AbsolutePath(session.io(), report);
    DSOCR_ASSIGN_OR_RETURN(text, ReadFile("report", path, document::kMaxBytes));
    request.set_file_name(std::filesystem::path(path).filename().string());
  } else {
    request.set_report_id(report);
  }
  DSOCR_ASSIGN_OR_RETURN(Daemon * daemon, session.Connect());
  DSOCR_ASSIGN_OR_RETURN(const v1::WhatIfResponse response, Ask(*daemon, std::move(request), text));
  if (response.scenarios().empty()) {
    return absl::InternalError("what-if: the daemon's answer has no scenario; update it to the version of dsocrctl");
  }
  if (session.output() == "table") {
    session.Out(WhatIfText(response, view, session.out_has_color()));
  } else if (session.output() == "markdown") {
    session.Out(WhatIfMarkdown(response, view));
  } else {
    Print(session, response, is_document ? Table() : WhatIfTable(response, view));
    for (const std::string& note : response.notes()) {
      session.Say(fmt::format("dsocrctl: note: {}\n", note));
    }
  }
  return kExitDone;
}

}  // namespace

Command WhatIfCommand() {
  std::vector<Flag> flags = KnobFlags();
  flags.push_back({"--sweep", ValueKind::kText, "KEY=A:B:STEP", "a row a value, A to B; given again: a grid"});
  flags.push_back({"--tornado", ValueKind::kSwitch, "", "halve and double every knob: which one moves the total most"});
  return {.name = "what-if",
          .arguments = "ID|latest|FILE [FLAGS]",
          .summary = "a report priced again: another device, size, batch, dtype or number of devices",
          .examples =
              "  dsocrctl what-if latest --device-profile l4 --dtype fp8w        does it fit, and how fast\n"
              "  dsocrctl what-if report.json --memory-bandwidth-gbs 8000\n"
              "  dsocrctl what-if latest --sweep batch-scale=1:64:1 -o csv       a row a batch\n"
              "  dsocrctl what-if latest --sweep seq-len=1024:8192:1024 --sweep tensor-parallel=1:8:1\n"
              "  dsocrctl what-if latest --tornado                               what to improve first\n",
          .min_arguments = 1,
          .max_arguments = 1,
          .outputs = kAllOutputs,
          .flags = std::move(flags),
          .run = WhatIf};
}

}  // namespace dsocr::client
