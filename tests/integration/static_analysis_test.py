"""The static analyzer's three ways through the real programs, and TorchInfo artifacts of the traced model."""

import json
import pathlib
import unittest

from cli import FIXTURES, SOURCE, TINY, CliTest

STAGES = ("sam", "clip", "projector", "prefill", "decode")
PROFILES = ("dsocr-standard-v1", "dsocr-tiny-v1", "dsocr-small-v1", "dsocr-base-v1", "dsocr-large-v1", "dsocr-a4-v1")
WAYS = ("flops_isolated", "flops_extracted", "flops_analytical")


def static_compute_of(result):
    directory = next(line.split(": ", 1)[1] for line in result.stderr.splitlines() if line.startswith("artifacts_dir: "))
    return json.loads((pathlib.Path(directory).parent / "static_compute.json").read_text(encoding="utf-8"))


class ThreeWays(CliTest):
    def analyze(self, *args):
        return json.loads(self.ctl("analyze", *args, "-o", "json").stdout)

    def assert_all_ways_agree(self, document):
        self.assertEqual(tuple(document["stages"]), STAGES)
        for name, stage in document["stages"].items():
            self.assertEqual(stage["source"], "isolated", (name, stage["notes"]))
            self.assertEqual({stage[way] for way in WAYS}, {stage["flops"]}, name)
            self.assertEqual(sum(stage["modules"].values()), stage["flops"], name)
            self.assertEqual(sum(stage["operators"].values()), stage["flops"], name)
            self.assertEqual(sum(stage["traced_operators"].values()), stage["flops"], name)

    def assert_traced_figures_equal_the_formulas(self, *args):
        traced = self.analyze(*args)
        self.assert_all_ways_agree(traced)
        formulas = self.analyze(*args, "--analytic-only")
        for name in STAGES:
            self.assertEqual(formulas["stages"][name]["source"], "analytical")
            for key in ("params", "flops", "activations", "operators", "modules"):
                self.assertEqual(traced["stages"][name][key], formulas["stages"][name][key], (name, key))

    def test_every_profile(self):
        for profile in PROFILES:
            with self.subTest(profile):
                self.assert_traced_figures_equal_the_formulas("--workload-profile-id", profile, "--context", "1500")

    def test_any_configuration_with_crops_and_without(self):
        for fixture in ("tiny_a", "tiny_b"):
            preprocess = json.loads((FIXTURES / fixture / "config.json").read_text(encoding="utf-8"))["preprocess"]
            model = ["--model", FIXTURES / fixture, "--base-size", preprocess["base_size"], "--seq-len", "300"]
            tile = preprocess["crop_tile_size"]
            for views in (["--image-size", tile, "--crop-mode", "1", "--page", "500x380"],
                          ["--image-size", tile, "--crop-mode", "1", "--page", "100x100"],
                          ["--image-size", "192", "--crop-mode", "0", "--page", "100x150"]):
                with self.subTest(f"{fixture} {views}"):
                    self.assert_traced_figures_equal_the_formulas(*model, *views)

    def test_the_page_may_be_an_image(self):
        document = self.analyze(*TINY, "--image", FIXTURES / "tiny_a/image.png")
        self.assert_all_ways_agree(document)

    def test_public_counts(self):
        golden = json.loads((SOURCE / "tests/golden/flops_public.json").read_text(encoding="utf-8"))
        for workload in golden["workloads"]:
            side = workload["vision_groups"][0]["side"]
            views = ["--base-size", side, "--image-size", side, "--crop-mode", "0", "--page", f"{side}x{side}"]
            if len(workload["vision_groups"]) > 1:
                views = ["--page", "1240x1754"]
            decode = workload["decode"][0]
            with self.subTest(workload["name"]):
                document = self.analyze(*views, "--seq-len", workload["seq_len"], "--context", decode["context_len_in_cache"])
                self.assert_all_ways_agree(document)
                for name in ("sam", "clip", "projector"):
                    self.assertEqual(document["stages"][name]["flops"], workload["vision_total"][name])


class WithoutARunner(CliTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env |= {"DSOCR_RUNNER_PATH": "/nonexistent/dsocr-runner"}

    def test_closed_formulas_stand_in_and_say_why(self):
        document = json.loads(self.ctl("analyze", *TINY, "-o", "json").stdout)
        for stage in document["stages"].values():
            self.assertEqual(stage["source"], "analytical")
            self.assertIsNone(stage["flops_isolated"])
            self.assertIsNone(stage["flops_extracted"])
            self.assertTrue(any("/nonexistent/dsocr-runner" in note for note in stage["notes"]), stage["notes"])


class SwitchedOff(CliTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env |= {"DSOCR_ANALYZER_ENABLED": "false"}

    def test_a_run_writes_closed_formulas(self):
        document = static_compute_of(self.ctl("run", *TINY, "-o", "json"))
        self.assertEqual({stage["source"] for stage in document["stages"].values()}, {"analytical"})
        self.assertIn("not traced: analyzer.enabled is false", document["notes"])


class Runs(CliTest):
    def test_a_run_writes_all_three_ways(self):
        document = static_compute_of(self.ctl("run", *TINY, "-o", "json"))
        self.assertEqual({stage["source"] for stage in document["stages"].values()}, {"isolated"})

    def test_an_analytic_report_starts_no_runner(self):
        document = static_compute_of(self.ctl("run", *TINY, "--analytic-only", "-o", "json"))
        self.assertEqual({stage["source"] for stage in document["stages"].values()}, {"analytical"})


class TorchInfo(CliTest):
    def test_artifacts_have_real_numbers_of_the_whole_model(self):
        out = self.dir / "torchinfo"
        self.runner("torchinfo", "--out", out, "--page", "1240x1754", "--seq-len", "1024")
        stages = json.loads((out / "torchinfo-stages.json").read_text(encoding="utf-8"))
        self.assertEqual(stages["total_params"], 3336106240)
        self.assertEqual([stages["stages"][name]["params"] for name in STAGES],
                         [95569152, 303177728, 2622720, 2769255680, 165478400])
        expected = json.loads(self.ctl("analyze", "--workload-profile-id", "dsocr-a4-v1", "--analytic-only", "-o", "json").stdout)
        for name in STAGES:
            self.assertEqual(2 * stages["stages"][name]["macs"], expected["stages"][name]["flops"], name)
        layers = json.loads((out / "torchinfo-unique-layers.json").read_text(encoding="utf-8"))
        self.assertEqual(layers["num_unique_layers"], len(layers["layers"]))
        summary = (out / "torchinfo-summary.txt").read_text(encoding="utf-8")
        self.assertIn("Total params: 3,336,106,240", summary)
        self.assertIn("[6, 3, 640, 640], [1, 3, 1024, 1024]", summary)


if __name__ == "__main__":
    unittest.main()
