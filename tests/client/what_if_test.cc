#include <string>
#include <utility>
#include <vector>

#include "client/exit_code.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/client/fake_daemon.h"
#include "tests/scratch_directory.h"

namespace dsocr::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

v1::WhatIfScenario Scenario(double time_ms, bool fits) {
  v1::WhatIfScenario scenario;
  scenario.set_total_time_ms(time_ms);
  scenario.set_total_flops_tflops(4);
  scenario.mutable_memory_gb()->set_weights(6.5);
  scenario.mutable_memory_gb()->set_activations(0.25);
  scenario.mutable_memory_gb()->set_kvcache(0.25);
  scenario.mutable_memory_gb()->set_total(7);
  scenario.set_fits(fits);
  scenario.set_device_memory_gb(fits ? 24 : 6);
  scenario.set_headroom_gb(fits ? 17 : -1);
  scenario.set_devices(1);
  const std::pair<const char*, double> modules[] = {{"deepseek_ocr", 1},
                                                    {"prefill", 0.75},
                                                    {"prefill/layer[0]", 0.5},
                                                    {"prefill/layer[0]/mlp", 0.25},
                                                    {"decode", 0.25}};
  for (const auto& [id, share] : modules) {
    v1::WhatIfModule& module = *scenario.add_modules();
    module.set_module_id(id);
    module.set_time_ms(time_ms * share);
    module.set_flops_tf(4 * share);
  }
  return scenario;
}

v1::WhatIfScenario With(v1::WhatIfScenario scenario, const std::string& key, int64_t value) {
  (*scenario.mutable_parameters())[key].set_int_value(value);
  return scenario;
}

class WhatIf : public ::testing::Test {
 protected:
  WhatIf() {
    io.working_dir = directory_.path();
    v1::WhatIfResponse part;
    part.set_report_id("r1");
    part.set_model_variant("deepseek-ocr-v1-base");
    part.set_workload_profile_id("dsocr-tiny-v1");
    part.set_dtype("bf16");
    part.set_device("l4");
    *part.mutable_baseline() = Scenario(8, true);
    *part.add_scenarios() = With(Scenario(4, false), "seq_len", 2048);
    daemon.what_if_parts = {part};
  }

  int Run(std::vector<std::string> arguments) {
    io.out.clear();
    io.err.clear();
    arguments.insert(arguments.begin(), "what-if");
    return client::Run(daemon, io, std::move(arguments));
  }

  const ScratchDirectory directory_;
  FakeDaemon daemon;
  FakeIo io;
};

TEST_F(WhatIf, FlagsAreTheDaemonsKnobs) {
  EXPECT_EQ(Run({"r1", "--memory-bandwidth-gbs", "8000", "--page", "1240x1754", "--dtype", "int4w", "--sweep",
                 "seq_len=512:1024:512", "--sweep=batch-scale=1:2:1"}),
            kExitDone)
      << io.err;
  EXPECT_EQ(daemon.what_if_request.report_id(), "r1");
  EXPECT_THAT(
      daemon.what_if_request.parameters(),
      UnorderedElementsAre(Pair("memory_bandwidth_gbs", "8000"), Pair("page", "1240x1754"), Pair("dtype", "int4w")));
  EXPECT_THAT(daemon.what_if_request.sweeps(), ElementsAre("seq_len=512:1024:512", "batch-scale=1:2:1"));
  EXPECT_TRUE(daemon.what_if_request.totals_only());
}

TEST_F(WhatIf, TableHasTheBaselineBesideAndSaysWhatIsMissing) {
  EXPECT_EQ(Run({"r1"}), kExitDone) << io.err;
  EXPECT_EQ(io.out,
            "deepseek-ocr-v1-base · dsocr-tiny-v1 · bf16 on l4 · report r1\n"
            "what if seq_len 2048\n"
            "\n"
            "module            time_ms  flops_TF  baseline_time_ms  baseline_flops_TF   change\n"
            "prefill             3.000    3.0000             6.000             3.0000  -50.0 %\n"
            "prefill/layer[0]    2.000    2.0000             4.000             2.0000  -50.0 %\n"
            "decode              1.000    1.0000             2.000             1.0000  -50.0 %\n"
            "total               4.000    4.0000             8.000             4.0000  -50.0 %\n"
            "\n"
            "memory          gb  baseline_gb\n"
            "weights      6.500        6.500\n"
            "activations  0.250        0.250\n"
            "kvcache      0.250        0.250\n"
            "total        7.000        7.000\n"
            "\n"
            "does not fit into 6.000 GB: 1.000 GB are missing\n");
}

TEST_F(WhatIf, CsvHasEveryModuleInFullPrecision) {
  EXPECT_EQ(Run({"r1", "-o", "csv"}), kExitDone) << io.err;
  EXPECT_EQ(io.out,
            "module,time_ms,flops_TF,baseline_time_ms,baseline_flops_TF,change\n"
            "prefill,3.0,3.0,6.0,3.0,-0.5\n"
            "prefill/layer[0],2.0,2.0,4.0,2.0,-0.5\n"
            "prefill/layer[0]/mlp,1.0,1.0,2.0,1.0,-0.5\n"
            "decode,1.0,1.0,2.0,1.0,-0.5\n"
            "total,4.0,4.0,8.0,4.0,-0.5\n");
}

TEST_F(WhatIf, JsonIsTheWholeAnswer) {
  EXPECT_EQ(Run({"r1", "-o", "json", "--sweep", "seq_len=1:2:1"}), kExitDone) << io.err;
  EXPECT_FALSE(daemon.what_if_request.totals_only());
  const nlohmann::json document = nlohmann::json::parse(io.out);
  EXPECT_EQ(document["baseline"]["total_time_ms"], 8.0);
  EXPECT_EQ(document["scenarios"][0]["parameters"]["seq_len"], 2048);
  EXPECT_EQ(document["scenarios"][0]["memory_gb"]["total"], 7.0);
  EXPECT_EQ(document["scenarios"][0]["fits"], false);
  EXPECT_EQ(document["scenarios"][0]["modules"][1]["module_id"], "prefill");
  EXPECT_EQ(document["scenarios"][0]["modules"][1]["flops_tf"], 3.0);
}

TEST_F(WhatIf, SweepIsARowAScenarioFromAllParts) {
  v1::WhatIfResponse second;
  *second.add_scenarios() = With(Scenario(16, true), "seq_len", 4096);
  daemon.what_if_parts.push_back(second);
  EXPECT_EQ(Run({"r1", "--sweep", "seq_len=2048:4096:2048", "-o", "csv"}), kExitDone) << io.err;
  EXPECT_EQ(io.out,
            "seq_len,total_time_ms,total_flops_tflops,memory_gb,fits,headroom_gb,communication_ms,change\n"
            "2048,4.0,4.0,7.0,false,-1.0,0.0,-0.5\n"
            "4096,16.0,4.0,7.0,true,17.0,0.0,1.0\n");
  EXPECT_EQ(Run({"r1", "--sweep", "seq_len=2048:4096:2048", "-o", "markdown"}), kExitDone) << io.err;
  EXPECT_THAT(io.out, HasSubstr("| 4096 | 16.000 | 4.0000 | 7.000 | yes | 17.000 | 0.000 | +100.0 % |\n"));
}

TEST_F(WhatIf, TornadoHasABarAKnob) {
  v1::WhatIfTornadoBar& bar = *daemon.what_if_parts[0].add_tornado();
  bar.set_parameter("batch_scale");
  bar.set_value(1);
  bar.mutable_high()->set_value(2);
  bar.mutable_high()->set_total_time_ms(6);
  bar.set_swing_ms(2);
  *daemon.what_if_parts[0].add_tornado() = daemon.what_if_parts[0].tornado(0);
  daemon.what_if_parts[0].mutable_tornado(1)->set_swing_ms(1);
  EXPECT_EQ(Run({"r1", "--tornado"}), kExitDone) << io.err;
  EXPECT_TRUE(daemon.what_if_request.tornado());
  EXPECT_THAT(io.out,
              HasSubstr("batch_scale      1     -             -       2           6.000     2.000  ██████████\n"));
  EXPECT_THAT(io.out, HasSubstr("1.000  █████\n"));
  EXPECT_EQ(Run({"r1", "--tornado", "-o", "csv"}), kExitDone) << io.err;
  EXPECT_THAT(io.out, HasSubstr("\nbatch_scale,1.0,,,2.0,6.0,2.0\n"));
}

TEST_F(WhatIf, FileIsUploadedWhole) {
  const std::string text(3 << 20, 'x');
  directory_.Write("report.yaml", text);
  EXPECT_EQ(Run({"report.yaml"}), kExitDone) << io.err;
  EXPECT_EQ(daemon.what_if_request.report_id(), "");
  EXPECT_EQ(daemon.what_if_request.file_name(), "report.yaml");
  EXPECT_EQ(daemon.uploaded, text);

  directory_.Write("r1/report.json", "{}");
  EXPECT_EQ(Run({"r1"}), kExitDone) << "a directory of artifacts is no report";
  EXPECT_EQ(daemon.what_if_request.report_id(), "r1");
}

TEST_F(WhatIf, NotesStandBesideTheResult) {
  daemon.what_if_parts[0].add_notes("calibration 'c-1' is not at hand");
  EXPECT_EQ(Run({"r1"}), kExitDone);
  EXPECT_THAT(io.out, HasSubstr("note: calibration 'c-1' is not at hand\n"));
  EXPECT_EQ(Run({"r1", "-o", "csv"}), kExitDone);
  EXPECT_THAT(io.out, Not(HasSubstr("calibration")));
  EXPECT_THAT(io.err, HasSubstr("calibration 'c-1' is not at hand"));
}

TEST_F(WhatIf, RefusalsAreOneLine) {
  EXPECT_EQ(Run({"absent.json"}), kExitUsage);
  EXPECT_THAT(io.err, HasSubstr("absent.json"));
  EXPECT_EQ(Run({"r1", "--dtype", "int4"}), kExitUsage);
  EXPECT_THAT(io.err, HasSubstr("did you mean 'int4w'?"));
  EXPECT_EQ(Run({"r1", "--page", "12"}), kExitUsage);
  daemon.refusal = {grpc::StatusCode::NOT_FOUND, "no device 'h10'; did you mean 'h100-sxm'?", "info"};
  EXPECT_EQ(Run({"r1", "--device-profile", "h10"}), kExitNoSuchThing);
  EXPECT_EQ(io.err, "dsocrctl: error: no device 'h10'; did you mean 'h100-sxm'?\n");
  EXPECT_THAT(io.out, IsEmpty());
}

}  // namespace
}  // namespace dsocr::client
