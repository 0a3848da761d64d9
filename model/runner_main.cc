// dsocr-runner: DeepSeek-OCR as a program. Parses the command line, runs one command, returns a code.
#include <torch/version.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <map>

#include "model/calibrate/calibrate.h"
#include "model/command/analyze.h"
#include "model/command/exit_code.h"
#include "model/command/inspect.h"
#include "model/command/memory.h"
#include "model/command/ocr.h"
#include "model/command/page_size.h"
#include "model/command/serve.h"
#include "model/command/torchinfo.h"
#include "model/command/verify.h"
#include "model/device.h"
#include "model/error.h"
#include "model/memory.h"
#include "model/text/tokenize.h"

namespace {

using namespace dsocr::model;

constexpr char kExamples[] =
    R"(Read a page:          dsocr-runner ocr --model DeepSeek-OCR --image page.png
Check this build:     dsocr-runner verify tests/golden/fixtures/tiny_a
Look at a tokenizer:  echo '{"text": "Free OCR."}' | dsocr-runner tokenize --tokenizer DeepSeek-OCR

dsocrd starts `dsocr-runner serve` by itself; its protocol is docs/runner-protocol.md.
)";

struct CommandLine {
  OcrOptions ocr;
  MemoryOptions memory;
  int crop_mode = -1;
  std::string verify_dir;
  bool verify_static_decode = false;
  std::string tokenizer_dir;
  std::string inspect_image;
  std::optional<std::string> inspect_model;
  std::optional<std::string> inspect_prompt;
  std::string calibrate_device = "cpu";
  std::string calibrate_dtype = "bf16";
  double calibrate_budget_s = 15;
  TorchInfoOptions torchinfo;
  int torchinfo_crop_mode = 1;
  std::string torchinfo_page;
  std::string format = "table";
};

int PrintError(const std::string& line, int code) {
  std::cerr << "dsocr-runner: error: " << line << '\n';
  return code;
}

// The frames own standard output: what a library prints goes to standard error.
int ServeOnStandardStreams() {
  const int events_fd = ::dup(STDOUT_FILENO);
  if (events_fd < 0 || ::dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
    return PrintError("standard output: it is closed; start serve with both ends of a pipe", kExitUsage);
  }
  return RunServe(STDIN_FILENO, events_fd);
}

void AddOcr(CLI::App& app, CommandLine& line) {
  CLI::App* ocr = app.add_subcommand("ocr", "Print the text of a page");
  ocr->add_option("--model", line.ocr.model_dir, "Hugging Face directory: config.json, tokenizer.json, safetensors")
      ->required();
  ocr->add_option("--image", line.ocr.image_path, "PNG or JPEG file")->required();
  ocr->add_option("--prompt", line.ocr.prompt, "What to do, with one <image>")->capture_default_str();
  ocr->add_option("--device", line.ocr.device, "cpu or cuda:N")->capture_default_str();
  ocr->add_option("--dtype", line.ocr.dtype, "fp32 or bf16")->capture_default_str();
  ocr->add_option("--max-new-tokens", line.ocr.max_new_tokens, "Stop after this many tokens")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
  ocr->add_option("--base-size", line.ocr.base_size, "Side of the global view, pixels (default: the model's)");
  ocr->add_option("--image-size", line.ocr.image_size,
                  "Side of a crop or of the only view, pixels (default: the model's)");
  ocr->add_option("--crop-mode", line.crop_mode, "1: crops besides the global view, 0: one view (default: the model's)")
      ->check(CLI::Range(0, 1));
}

void AddMemory(CLI::App& app, CommandLine& line) {
  CLI::App* memory = app.add_subcommand("memory", "Count what a request over a synthetic page holds, stage by stage");
  memory->add_option("--model", line.memory.model_dir,
                     "Hugging Face directory (default: the published configuration, random weights)");
  memory->add_option("--dtype", line.memory.dtype, "fp32 or bf16")->capture_default_str();
  memory->add_option("--base-size", line.memory.base_size, "Side of the global view, pixels (default: the model's)");
  memory->add_option("--image-size", line.memory.image_size,
                     "Side of a crop or of the only view, pixels (default: the model's)");
  memory
      ->add_option("--crop-mode", line.crop_mode,
                   "1: crops besides the global view, 0: one view (default: the model's)")
      ->check(CLI::Range(0, 1));
  memory->add_option("--page", line.memory.page, "WIDTHxHEIGHT of the page, pixels")->capture_default_str();
  memory->add_option("--seq-len", line.memory.seq_len, "Tokens of the prompt, image tokens included")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
  memory->add_option("--max-new-tokens", line.memory.max_new_tokens, "Tokens to make")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
  memory->add_option("-o", line.format, "table or json")
      ->capture_default_str()
      ->check(CLI::IsMember({"table", "json"}));
}

void AddOthers(CLI::App& app, CommandLine& line) {
  CLI::App* verify = app.add_subcommand("verify", "Hold the model to a fixture directory, tensor by tensor");
  verify->add_option("DIR", line.verify_dir, "Fixture directory")->required();
  verify->add_flag("--static-decode", line.verify_static_decode,
                   "Take the decode steps as CUDA graphs replay them (on the CPU as well)");
  verify->add_option("-o", line.format, "table or json")
      ->capture_default_str()
      ->check(CLI::IsMember({"table", "json"}));

  CLI::App* tokenize = app.add_subcommand("tokenize", R"(JSON lines {"text"} in, {"ids", "decoded"} out)");
  tokenize->add_option("--tokenizer", line.tokenizer_dir, "Directory with tokenizer.json, or the file")->required();

  CLI::App* inspect = app.add_subcommand("inspect", "Size of a page and length of a prompt, without weights");
  inspect->add_option("--image", line.inspect_image, "PNG or JPEG file")->required();
  inspect->add_option("--model", line.inspect_model, "Directory with config.json and tokenizer.json");
  inspect->add_option("--prompt", line.inspect_prompt, "Prompt to count, with one <image>");
  inspect->add_option("-o", line.format, "json")->check(CLI::IsMember({"json"}));

  CLI::App* calibrate =
      app.add_subcommand("calibrate", "Measure operators at the model's shapes, as one JSON document");
  calibrate->add_option("--device", line.calibrate_device, "cpu or cuda:N")->capture_default_str();
  calibrate->add_option("--dtype", line.calibrate_dtype, "fp32 or bf16")->capture_default_str();
  calibrate
      ->add_option("--budget", line.calibrate_budget_s,
                   "Stop in time to end after this long: 15s, 500ms (default: 15s)")
      ->transform(CLI::AsNumberWithUnit(std::map<std::string, double>{{"s", 1.0}, {"ms", 1e-3}},
                                        CLI::AsNumberWithUnit::UNIT_REQUIRED))
      ->check(CLI::Range(0.001, 3600.0, "0.001s to 3600s"));
  calibrate->add_option("-o", line.format, "json")->check(CLI::IsMember({"json"}));

  app.add_subcommand("analyze", "FLOPs of one request by range, traced on the meta device: JSON in, JSON out");
  app.add_subcommand("version", "Versions of the libraries that decide what operators cost, as one JSON document");
  app.add_subcommand("serve", "One request from dsocrd on standard input, events on standard output");
}

void AddTorchInfo(CLI::App& app, CommandLine& line) {
  ServeRequest& request = line.torchinfo.request;
  ServeWorkload& workload = request.workload;
  CLI::App* torchinfo =
      app.add_subcommand("torchinfo", "Write the model's layers, stages and summary as torchinfo does");
  torchinfo->add_option("--out", line.torchinfo.out_dir, "Directory to write to; made if need be")->required();
  torchinfo->add_option("--model", request.model_dir, "Directory with config.json (default: the published model)");
  constexpr int kMaxSide = 8192;  // as in serve's requests
  torchinfo->add_option("--base-size", workload.base_size, "Side of the global view, pixels")
      ->capture_default_str()
      ->check(CLI::Range(1, kMaxSide));
  torchinfo->add_option("--image-size", workload.image_size, "Side of a crop or of the only view, pixels")
      ->capture_default_str()
      ->check(CLI::Range(1, kMaxSide));
  torchinfo->add_option("--crop-mode", line.torchinfo_crop_mode, "1: crops besides the global view, 0: one view")
      ->capture_default_str()
      ->check(CLI::Range(0, 1));
  torchinfo->add_option("--page", line.torchinfo_page, "WxH, pixels (default: 600x600)")
      ->check([](const std::string& text) { return ParsePageSize(text) ? "" : "expected WxH, such as 1240x1754"; });
  torchinfo->add_option("--seq-len", workload.seq_len, "Tokens of the prompt, image tokens included")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
}

int RunTorchInfo(CommandLine& line) {
  ServeRequest& request = line.torchinfo.request;
  request.workload.crop_mode = line.torchinfo_crop_mode == 1;
  if (const auto page = ParsePageSize(line.torchinfo_page)) {
    request.workload.page_width = page->width;
    request.workload.page_height = page->height;
  }
  request.context = request.workload.seq_len;
  return RunTorchInfo(line.torchinfo);
}

int Run(const CLI::App& app, CommandLine& line) {
  if (app.got_subcommand("serve")) return ServeOnStandardStreams();
  if (app.got_subcommand("analyze")) return RunAnalyze(std::cin, std::cout);
  if (app.got_subcommand("verify")) {
    const VerifyFormat format = line.format == "json" ? VerifyFormat::kJson : VerifyFormat::kTable;
    const DecodeMode mode = line.verify_static_decode ? DecodeMode::kStatic : DecodeMode::kEager;
    return RunVerify(line.verify_dir, mode, format, std::cout);
  }
  if (app.got_subcommand("torchinfo")) return RunTorchInfo(line);
  if (app.got_subcommand("tokenize")) return RunTokenize(line.tokenizer_dir, std::cin, std::cout);
  if (app.got_subcommand("inspect")) {
    return RunInspect(line.inspect_image, line.inspect_model, line.inspect_prompt, std::cout);
  }
  if (app.got_subcommand("calibrate")) {
    const at::Device device = OpenDevice(line.calibrate_device);
    return RunCalibrate(device, DescribeDevice(device), ParseDtype(line.calibrate_dtype), line.calibrate_budget_s,
                        std::cout);
  }
  if (app.got_subcommand("version")) {
    std::cout << R"({"torch": ")" << TORCH_VERSION << "\"}" << std::endl;
    return 0;
  }
  std::optional<bool> crop_mode;
  if (line.crop_mode >= 0) crop_mode = line.crop_mode == 1;
  if (app.got_subcommand("memory")) {
    line.memory.crop_mode = crop_mode;
    line.memory.format = line.format == "json" ? MemoryFormat::kJson : MemoryFormat::kTable;
    return RunMemory(line.memory, std::cout);
  }
  line.ocr.crop_mode = crop_mode;
  return RunOcr(line.ocr, std::cout);
}

}  // namespace

int main(int argc, char** argv) {
  KeepFreedMemory();
  CLI::App app(kExamples, "dsocr-runner");
  app.require_subcommand(1);
  CommandLine line;
  AddOcr(app, line);
  AddMemory(app, line);
  AddOthers(app, line);
  AddTorchInfo(app, line);
  const auto is_argument = [&](const CLI::App* command) { return command->check_name(argv[1]); };
  const std::vector<CLI::App*> commands = app.get_subcommands([](CLI::App*) { return true; });
  if (argc > 1 && argv[1][0] != '-' && std::none_of(commands.begin(), commands.end(), is_argument)) {
    return PrintError("command '" + std::string(argv[1]) + "': there is none; 'dsocr-runner --help' lists them",
                      kExitUsage);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    return PrintError("command line: " + std::string(error.what()) + "; 'dsocr-runner --help' shows what there is",
                      kExitUsage);
  }
  try {
    return Run(app, line);
  } catch (const InputError& error) {
    return PrintError(error.what(), ExitCodeOf(error));
  } catch (const std::exception& error) {
    const std::string text = error.what();
    return PrintError("request: " + text.substr(0, text.find('\n')), kExitFailed);
  }
}
