#include <string>

#include "base/status.h"
#include "client/command/commands.h"
#include "client/command/request.h"
#include "client/render/print.h"
#include "client/render/units.h"
#include "client/session.h"
#include "fmt/format.h"
#include "proto/document.h"

namespace dsocr::client {
namespace {

Cell Count(int64_t value) { return Cell(HumanCount(value), fmt::format("{}", value)); }
Cell Number(double value, std::string_view unit) {
  return Cell(value == 0 ? "-" : fmt::format("{:.4g} {}", value, unit), document::FormatDouble(value));
}

absl::StatusOr<int> Models(Session& session) {
  DSOCR_ASSIGN_OR_RETURN(Daemon * daemon, session.Connect());
  DSOCR_ASSIGN_OR_RETURN(const v1::ListModelsResponse response,
                         daemon->Call(&v1::CatalogService::Stub::ListModels, v1::ListModelsRequest()));
  Table table;
  table.columns = {{"VARIANT", "model_variant"},
                   {"MODEL", "model_id"},
                   {"LAYERS", "num_layers", true},
                   {"HIDDEN", "hidden_size", true},
                   {"HEADS", "num_attention_heads", true},
                   {"MOE", "uses_moe"},
                   {"NOTES", "notes"}};
  for (const v1::DeepSeekOCRModelSpec& model : response.models()) {
    table.rows.push_back({Cell(model.model_variant()), Cell(model.model_id()), Count(model.num_layers()),
                          Count(model.hidden_size()), Count(model.num_attention_heads()),
                          Cell(model.uses_moe() ? "yes" : "no", model.uses_moe() ? "true" : "false"),
                          Cell(model.notes())});
  }
  Print(session, response, table);
  return kExitDone;
}

absl::StatusOr<int> Workloads(Session& session) {
  DSOCR_ASSIGN_OR_RETURN(Daemon * daemon, session.Connect());
  DSOCR_ASSIGN_OR_RETURN(const v1::ListWorkloadsResponse response,
                         daemon->Call(&v1::CatalogService::Stub::ListWorkloads, v1::ListWorkloadsRequest()));
  Table table;
  table.columns = {{"WORKLOAD", "profile_id"},  {"PAGE", "page"},
                   {"BASE", "base_size", true}, {"IMAGE", "image_size", true},
                   {"CROPS", "crop_grid"},      {"IMAGE TOKENS", "image_tokens", true},
                   {"PROMPT", "seq_len", true}, {"NEW", "max_new_tokens", true},
                   {"DTYPE", "dtype"}};
  for (const v1::OCRWorkloadProfile& profile : response.workloads()) {
    const std::string grid = profile.crop_mode() && profile.crop_grid_size() == 2
                                 ? fmt::format("{}x{}", profile.crop_grid(0), profile.crop_grid(1))
                                 : "off";
    table.rows.push_back(
        {Cell(profile.profile_id()), Cell(fmt::format("{}x{}", profile.page_width(), profile.page_height())),
         Count(profile.base_size()), Count(profile.image_size()), Cell(grid), Count(profile.image_tokens()),
         Count(profile.seq_len()), Count(profile.max_new_tokens()), Cell(profile.dtype())});
  }
  Print(session, response, table);
  return kExitDone;
}

absl::StatusOr<int> Describe(Session& session) {
  const CommandLine& line = session.line();
  v1::DescribeWorkloadRequest request;
  request.set_workload_profile_id(line.arguments.empty() ? "dsocr-standard-v1" : line.arguments[0]);
  request.set_model_variant(line.Text("--model-variant"));
  DSOCR_ASSIGN_OR_RETURN(*request.mutable_workload(), MakeOverrides(line, session.io()));
  DSOCR_ASSIGN_OR_RETURN(Daemon * daemon, session.Connect());
  DSOCR_ASSIGN_OR_RETURN(const v1::WorkloadDescription layout,
                         daemon->Call(&v1::CatalogService::Stub::DescribeWorkload, request));
  const std::string grid =
      layout.crop_grid_size() == 2 ? fmt::format("{}x{}", layout.crop_grid(0), layout.crop_grid(1)) : "-";
  Table table;
  table.columns = {{"KEY", "key"}, {"VALUE", "value", true}};
  table.rows = {{Cell("crop_grid"), Cell(grid)},
                {Cell("num_crops"), Count(layout.num_crops())},
                {Cell("image_tokens"), Count(layout.image_tokens())},
                {Cell("local_rows_tokens"), Count(layout.local_rows_tokens())},
                {Cell("global_rows_tokens"), Count(layout.global_rows_tokens())},
                {Cell("view_separator_tokens"), Count(layout.view_separator_tokens())},
                {Cell("seq_len_min"), Count(layout.seq_len_min())}};
  Print(session, layout, table);
  return kExitDone;
}

absl::StatusOr<int> Devices(Session& session) {
  DSOCR_ASSIGN_OR_RETURN(Daemon * daemon, session.Connect());
  DSOCR_ASSIGN_OR_RETURN(const v1::ListDevicesResponse response,
                         daemon->Call(&v1::CatalogService::Stub::ListDevices, v1::ListDevicesRequest()));
  Table table;
  table.columns = {{"DEVICE", "name"},
                   {"KIND", "kind"},
                   {"HERE", "present"},
                   {"BF16", "peak_bf16_tflops", true},
                   {"FP32", "peak_fp32_tflops", true},
                   {"BANDWIDTH", "memory_bandwidth_gbs", true},
                   {"MEMORY", "memory_gb", true},
                   {"CALIBRATION", "calibration_id"},
                   {"SOURCE", "source"}};
  for (const v1::Device& device : response.devices()) {
    table.rows.push_back({Cell(device.name()), Cell(device.kind()),
                          Cell(device.present() ? "yes" : "", device.present() ? "true" : "false"),
                          Number(device.peak_bf16_tflops(), "TF/s"), Number(device.peak_fp32_tflops(), "TF/s"),
                          Number(device.memory_bandwidth_gbs(), "GB/s"), Number(device.memory_gb(), "GB"),
                          Cell(device.has_calibration_id() ? device.calibration_id() : ""), Cell(device.source())});
  }
  Print(session, response, table);
  return kExitDone;
}

}  // namespace

Command ModelsCommand() {
  return {.name = "models",
          .summary = "the models that can be predicted",
          .examples = "  dsocrctl models\n",
          .outputs = kAllOutputs,
          .run = Models};
}

Command WorkloadsCommand() {
  return {.name = "workloads",
          .summary = "the workload profiles",
          .examples =
              "  dsocrctl workloads\n"
              "  dsocrctl workloads -o yaml        the keys that a --workload-file takes\n",
          .outputs = kAllOutputs,
          .run = Workloads};
}

Command DescribeWorkloadCommand() {
  std::vector<Flag> flags = WorkloadFlags();
  flags.push_back({"--model-variant", ValueKind::kText, "NAME", "variant (default deepseek-ocr-v1-base)"});
  return {.name = "workloads describe",
          .arguments = "[ID]",
          .summary = "how a page is cut into views, and its image tokens (ID: default dsocr-standard-v1)",
          .examples =
              "  dsocrctl workloads describe --page 1240x1754\n"
              "  dsocrctl workloads describe dsocr-tiny-v1 -o json\n",
          .max_arguments = 1,
          .outputs = kAllOutputs,
          .flags = std::move(flags),
          .run = Describe};
}

Command DevicesCommand() {
  return {.name = "devices",
          .summary = "the devices that can be predicted, and those of the daemon's machine",
          .examples = "  dsocrctl devices\n",
          .outputs = kAllOutputs,
          .run = Devices};
}

}  // namespace dsocr::client
