"""what-if through the real programs: a report of the store, a file, another machine's file, sweeps, refusals."""

import csv
import io
import json
import unittest

from cli import TINY, CliTest


class WhatIf(CliTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.report = cls.new_report("--device", "h100-sxm", "--workload-profile-id", "dsocr-a4-v1")
        cls.id = cls.report["report_id"]

    @classmethod
    def new_report(cls, *args):
        return json.loads(cls.ctl("run", "--analytic-only", *args, "-o", "json").stdout)

    def ask(self, report, *args):
        return json.loads(self.ctl("what-if", report, *args, "-o", "json").stdout)

    def assert_baseline_is(self, report, answer):
        baseline = answer["baseline"]
        self.assertEqual(answer["notes"], [])
        self.assertEqual(baseline["total_time_ms"], report["predicted_total_time_ms"])
        root = report["module_metrics"][0]
        self.assertEqual(baseline["total_flops_tflops"], root["total_flops_tflops"])
        memory = baseline["memory_gb"]
        self.assertEqual([memory["weights"], memory["activations"], memory["kvcache"]],
                         [root["memory_weights_gb"], root["memory_activations_gb"], root["memory_kvcache_gb"]])
        self.assertEqual([(module["module_id"], module["time_ms"], module["flops_tf"]) for module in baseline["modules"]],
                         [(entry["module_id"], entry["total_time_ms"], entry["total_flops_tflops"]) for entry in report["module_metrics"]])

    def test_baseline_is_the_report(self):
        self.assert_baseline_is(self.report, self.ask(self.id))
        self.assert_baseline_is(self.report, self.ask(self.id, "--seq-len", "2048"))

    def test_baseline_of_other_models_and_devices_is_the_report(self):
        for args in (["--model-variant", "deepseek-ocr-v2", "--device", "l4"], ["--device", "cpu", "--dtype", "fp32"],
                     [*TINY, "--device", "cpu"]):
            report = self.new_report(*args)
            self.assert_baseline_is(report, self.ask(report["report_id"]))

    def test_a_measured_report_is_priced_with_its_calibration(self):
        report = json.loads(self.ctl("run", *TINY, "--device", "cpu", "-o", "json").stdout)
        self.assertIsNotNone(report["provenance"]["calibration_id"])
        self.assert_baseline_is(report, self.ask(report["report_id"]))

    def test_a_scenario_is_the_fresh_report(self):
        fresh = self.new_report("--device", "l4", "--workload-profile-id", "dsocr-a4-v1", "--page", "1000x3000", "--seq-len", "2000",
                                "--max-new-tokens", "100", "--dtype", "fp32")
        scenario = self.ask(self.id, "--device-profile", "l4", "--page", "1000x3000", "--seq-len", "2000", "--max-new-tokens", "100",
                            "--dtype", "fp32")["scenarios"][0]
        self.assertEqual(scenario["total_time_ms"], fresh["predicted_total_time_ms"])
        self.assertEqual([module["time_ms"] for module in scenario["modules"]],
                         [entry["total_time_ms"] for entry in fresh["module_metrics"]])
        self.assertEqual(scenario["parameters"], {"device_profile": "l4", "page_width": 1000, "page_height": 3000, "seq_len": 2000,
                                                  "max_new_tokens": 100, "dtype": "fp32"})

    def test_a_file_is_as_good_as_an_id_whatever_the_store_holds(self):
        for form in ("json", "yaml"):
            self.ctl("export", self.id, "--format", form, "--out", self.dir / f"r.{form}", "--force")
        report = self.new_report("--device", "a100-sxm-80gb")
        path = self.dir / "gone.json"
        self.ctl("export", report["report_id"], "--format", "json", "--out", path, "--force")
        self.ctl("delete", report["report_id"])
        knobs = ["--memory-bandwidth-gbs", "8000", "--tensor-parallel", "2", "--batch-scale", "8"]
        by_id = self.ask(self.id, *knobs)
        self.assertEqual(self.ask(self.dir / "r.json", *knobs), by_id)
        self.assertEqual(self.ask("r.yaml", *knobs), by_id)
        self.assert_baseline_is(report, self.ask(path))

    def test_twice_the_bandwidth_is_faster_in_all(self):
        answer = self.ask(self.id, "--memory-bandwidth-gbs", "6700")
        scenario = answer["scenarios"][0]
        self.assertLess(scenario["total_time_ms"], answer["baseline"]["total_time_ms"])

    def test_graphs_spare_launches(self):
        answer = self.ask(self.id, "--cuda-graphs", "1")
        decode, = (module for module in answer["scenarios"][0]["modules"] if module["module_id"] == "decode")
        eager, = (module for module in answer["baseline"]["modules"] if module["module_id"] == "decode")
        self.assertEqual(answer["scenarios"][0]["parameters"], {"cuda_graphs": True})
        self.assertLess(decode["time_ms"], 0.6 * eager["time_ms"])
        self.assert_refused(2, "cuda_graphs: device 'cpu' has none", self.ctl("what-if", self.id, "--cuda-graphs", "1", "--device-profile", "cpu", check=False))

    def test_fits_or_not_by_how_much(self):
        small = self.ask(self.id, "--device-profile", "l4", "--dtype", "int4w")["scenarios"][0]
        self.assertTrue(small["fits"])
        self.assertLess(small["memory_gb"]["weights"], 0.5 * self.report["module_metrics"][0]["memory_weights_gb"])
        large = self.ask(self.id, "--device-profile", "l4", "--batch-scale", "4096")["scenarios"][0]
        self.assertFalse(large["fits"])
        memory = large["memory_gb"]
        self.assertAlmostEqual(memory["total"], memory["weights"] + memory["activations"] + memory["kvcache"], places=6)
        self.assertAlmostEqual(large["headroom_gb"], large["device_memory_gb"] - memory["total"], places=6)
        text = self.ctl("what-if", self.id, "--device-profile", "l4", "--batch-scale", "4096").stdout
        self.assertIn(f"does not fit into {large['device_memory_gb']:.3f} GB: {-large['headroom_gb']:.3f} GB are missing", text)

    def test_table_and_csv_add_up(self):
        lines = self.ctl("what-if", self.id, "--peak-tflops", "500").stdout.splitlines()
        header = next(line for line in lines if line.startswith("module"))
        self.assertEqual(header.split()[:3], ["module", "time_ms", "flops_TF"])
        rows = list(csv.DictReader(io.StringIO(self.ctl("what-if", self.id, "--peak-tflops", "500", "-o", "csv").stdout)))
        self.assertEqual(len(rows), len(self.report["modules"]))  # the root is the total
        stages = [float(row["time_ms"]) for row in rows if "/" not in row["module"] and row["module"] != "total"]
        self.assertAlmostEqual(sum(stages), float(rows[-1]["time_ms"]), places=6)
        self.assertEqual(float(rows[-1]["baseline_time_ms"]), self.report["predicted_total_time_ms"])

    def test_two_sweeps_are_a_grid(self):
        sweeps = ["--sweep", "seq_len=1024:4096:1024", "--sweep", "batch-scale=1:3:1"]
        answer = self.ask(self.id, *sweeps, "--dtype", "fp8w")
        at = [(scenario["parameters"]["seq_len"], scenario["parameters"]["batch_scale"]) for scenario in answer["scenarios"]]
        self.assertEqual(at, [(seq_len, batch) for seq_len in (1024, 2048, 3072, 4096) for batch in (1, 2, 3)])
        rows = list(csv.DictReader(io.StringIO(self.ctl("what-if", self.id, *sweeps, "--dtype", "fp8w", "-o", "csv").stdout)))
        self.assertEqual([float(row["total_time_ms"]) for row in rows],
                         [scenario["total_time_ms"] for scenario in answer["scenarios"]])
        self.assertEqual({row["dtype"] for row in rows}, {"fp8w"})
        table = self.ctl("what-if", self.id, *sweeps).stdout
        self.assertEqual(sum(line.lstrip().startswith(("1 ", "2 ", "3 ")) for line in table.splitlines()), 12)

    def test_long_sweeps_arrive_whole(self):
        text = self.ctl("what-if", self.id, "--sweep", "memory_bandwidth_gbs=1:50000:1", "-o", "csv").stdout
        rows = list(csv.DictReader(io.StringIO(text)))
        self.assertEqual(len(rows), 50000)
        times = [float(row["total_time_ms"]) for row in rows]
        self.assertEqual(times, sorted(times, reverse=True))

    def test_tornado_is_sorted(self):
        answer = self.ask(self.id, "--tornado")
        swings = [bar["swing_ms"] for bar in answer["tornado"]]
        self.assertEqual(swings, sorted(swings, reverse=True))
        bar = next(bar for bar in answer["tornado"] if bar["parameter"] == "memory_bandwidth_gbs")
        doubled = self.ask(self.id, "--memory-bandwidth-gbs", bar["high"]["value"])["scenarios"][0]
        self.assertEqual(doubled["total_time_ms"], bar["high"]["total_time_ms"])
        lines = self.ctl("what-if", self.id, "--tornado").stdout.splitlines()
        first = next(i for i, line in enumerate(lines) if line.startswith("knob")) + 1
        self.assertEqual([line.split()[0] for line in lines[first:first + len(swings)]],
                         [bar["parameter"] for bar in answer["tornado"]])
        self.assertTrue(lines[first].endswith("██████████"))

    def test_refusals(self):
        def refused(code, fragment, *args):
            self.assert_refused(code, fragment, self.ctl("what-if", *args, check=False))

        refused(3, "did you mean 'h100-sxm'?", self.id, "--device-profile", "h100-sx")
        refused(3, "no report 'r-none'", "r-none")
        refused(2, "absent.json", "absent.json")
        refused(2, "peak_tflops nan", self.id, "--peak-tflops", "nan")
        refused(2, "memory_bandwidth_gbs 0", self.id, "--memory-bandwidth-gbs", "0")
        refused(2, "link_gbs '1GB'", self.id, "--link-gbs", "1GB")
        refused(2, "batch_scale 0.3", self.id, "--batch-scale", "0.3")
        refused(2, "--dtype 'int4'", self.id, "--dtype", "int4")
        refused(2, "seq_len", self.id, "--seq-len", "10")
        refused(2, "tensor_parallel 0", self.id, "--tensor-parallel", "0")
        refused(2, "did you mean 'seq_len'?", self.id, "--sweep", "seq_lem=1:2:1")
        refused(2, "dtype has no order", self.id, "--sweep", "dtype=1:2:1")
        refused(2, "1000000 scenarios, at most 100000", self.id, "--sweep", "peak_tflops=1:1000000:1")
        refused(2, "at most 10000", self.id, "--sweep", "peak_tflops=1:1000:1", "--sweep", "seq_len=1024:1524:1", "-o", "json")
        refused(2, "leave the sweeps out", self.id, "--sweep", "peak_tflops=1:2:1", "--tornado")
        (self.dir / "bad.json").write_text('{"report_id": "x"}', encoding="utf-8")
        refused(2, "bad.json", self.dir / "bad.json")
        other = dict(self.report, module_metrics=[dict(self.report["module_metrics"][0], total_flops_tflops=1.0),
                                                  *self.report["module_metrics"][1:]])
        (self.dir / "other.json").write_text(json.dumps(other), encoding="utf-8")
        refused(2, "TFLOPs", self.dir / "other.json")


class AnotherMachine(CliTest):
    """A file from a machine whose calibration nobody here has."""

    def test_times_are_the_datasheets_and_a_note_says_so(self):
        self.ctl("run", *TINY, "--device", "cpu")
        path = self.dir / "measured.json"
        self.ctl("export", "latest", "--format", "json", "--out", path)
        report = json.loads(path.read_text(encoding="utf-8"))
        report["provenance"]["calibration_id"] = "c-elsewhere"
        path.write_text(json.dumps(report), encoding="utf-8")
        answer = json.loads(self.ctl("what-if", path, "-o", "json").stdout)
        self.assertIn("calibration 'c-elsewhere' is not at hand", answer["notes"][0])
        self.assertEqual(answer["baseline"]["total_flops_tflops"], report["module_metrics"][0]["total_flops_tflops"])
        self.assertIn("note: calibration", self.ctl("what-if", path).stdout)


if __name__ == "__main__":
    unittest.main()
