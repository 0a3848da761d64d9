#include "base/status.h"
#include "client/command/commands.h"
#include "client/command/request.h"
#include "client/session.h"

namespace dsocr::client {
namespace {

absl::StatusOr<int> Analyze(Session& session) {
  const CommandLine& line = session.line();
  v1::AnalyzeRequest request;
  DSOCR_ASSIGN_OR_RETURN(*request.mutable_request(), MakeRequest(line, session.io()));
  if (const auto context = line.Integer("--context")) {
    request.set_context(*context);
  }
  if (const auto size = line.Integer("--patch-size")) {
    request.set_patch_size(*size);
  }
  if (const auto ratio = line.Integer("--downsample-ratio")) {
    request.set_downsample_ratio(*ratio);
  }
  request.set_analytic_only(line.Has("--analytic-only"));
  if (line.Has("--image")) {
    request.set_image_path(AbsolutePath(session.io(), line.Text("--image")));
  }
  DSOCR_ASSIGN_OR_RETURN(Daemon * daemon, session.Connect());
  DSOCR_ASSIGN_OR_RETURN(const v1::AnalyzeResponse response,
                         daemon->Call(&v1::AnalyticService::Stub::Analyze, request));
  session.Out(session.output() == "json"       ? response.json()
              : session.output() == "markdown" ? response.markdown()
                                               : response.table_markdown());
  return kExitDone;
}

}  // namespace

Command AnalyzeCommand() {
  std::vector<Flag> flags = RequestFlags();
  flags.push_back(
      {"--context", ValueKind::kInteger, "TOKENS", "tokens in the cache at the decode step (default: seq_len)"});
  flags.push_back(
      {"--image", ValueKind::kPath, "FILE", "take the page from this file (default: a synthetic grey page)"});
  flags.push_back({"--patch-size", ValueKind::kInteger, "PIXELS", "side of a vision patch (default 16)"});
  flags.push_back({"--downsample-ratio", ValueKind::kInteger, "N", "patches to a token, per side (default 4)"});
  flags.push_back({"--analytic-only", ValueKind::kSwitch, "", "closed formulas alone; trace nothing"});
  return {.name = "analyze",
          .arguments = "[FLAGS]",
          .summary = "the static analyzer: parameters, FLOPs and activations of every stage",
          .examples =
              "  dsocrctl analyze\n"
              "  dsocrctl analyze --page 1240x1754 --context 1100 -o json\n",
          .outputs = {"table", "json", "markdown"},
          .flags = std::move(flags),
          .run = Analyze};
}

}  // namespace dsocr::client
