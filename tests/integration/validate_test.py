"""dsocrctl validate end to end on a CPU: the small model is predicted, run and judged; bounds here are wide, because times vary."""

import json
import signal
import unittest
import xml.etree.ElementTree

from cli import CliTest, wait_until

SUITE = """
name: quick
bounds: {max_stage_error_pct: 100000, max_total_error_pct: 100000}
cases:
  - name: small
    model: small
    workload: dsocr-standard-v1
    overrides: {base_size: 256, image_size: 160, crop_mode: 1, page_width: 500, page_height: 380, seq_len: 89, max_new_tokens: 4}
    device: cpu
    dtype: fp32
    repeats: 6
"""

LONG_SUITE = """
bounds: {max_stage_error_pct: 100000, max_total_error_pct: 100000}
cases:
  - name: small
    model: small
    workload: dsocr-standard-v1
    overrides: {base_size: 64, image_size: 64, crop_mode: 0, page_width: 64, page_height: 64, seq_len: 10, max_new_tokens: 1}
    device: cpu
    dtype: fp32
    calibration: none
    repeats: 3
    best_of: 70
"""


class Validation(CliTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.suite = cls.dir / "suite.yaml"
        cls.suite.write_text(SUITE)
        cls.junit = cls.dir / "junit.xml"
        result = cls.ctl("validate", "--suite", cls.suite, "--junit", cls.junit, "-o", "json", check=False)
        if result.returncode != 0:
            raise AssertionError(result.stderr)
        cls.text = result.stdout
        cls.passed = json.loads(result.stdout)

    def test_every_stage_is_predicted_measured_and_within_a_wide_bound(self):
        self.assertTrue(self.passed["passed"])
        case = self.passed["cases"][0]
        self.assertEqual([stage["stage"] for stage in case["stages"]], ["sam", "clip", "projector", "prefill", "decode", "total"])
        for stage in case["stages"]:
            self.assertGreater(stage["predicted_ms"], 0)
            self.assertGreater(stage["measured_ms"], 0)
            self.assertAlmostEqual(stage["ratio"], stage["predicted_ms"] / stage["measured_ms"])
            self.assertTrue(stage["within"])
        self.assertEqual(len(case["repeats"]["modules"][0]["self_time_ns"]), 6)

    def test_the_prediction_was_stored_with_the_run(self):
        report = json.loads(self.ctl("model", self.passed["cases"][0]["report_id"], "-o", "json").stdout)
        stages = {stage["stage"]: stage for stage in self.passed["cases"][0]["stages"]}
        self.assertEqual(stages["total"]["predicted_ms"], report["predicted_total_time_ms"])
        self.assertEqual(stages["total"]["measured_ms"], report["measured_total_time_ms"])
        self.assertEqual(report["provenance"]["weights"]["random_seed"], 0)

    def test_the_junit_report_has_a_test_a_stage(self):
        root = xml.etree.ElementTree.parse(self.junit).getroot()
        self.assertEqual(root.tag, "testsuites")
        self.assertEqual([test.get("name") for test in root.iter("testcase")],
                         ["sam", "clip", "projector", "prefill", "decode", "total"])
        self.assertEqual(root.get("failures"), "0")
        self.assert_refused(2, "junit.xml", self.ctl("validate", "--junit", self.junit, check=False))

    def test_an_impossible_bound_is_exit_5_and_the_history_shows_both(self):
        junit = self.dir / "failed.xml"
        result = self.ctl("validate", "--suite", self.suite, "--max-error", "0.0001", "--junit", junit, "-o", "json", check=False)
        self.assertEqual(result.returncode, 5, result.stderr)
        failed = json.loads(result.stdout)
        self.assertFalse(failed["passed"])
        self.assertIn("its bound is 0.0001 %", failed["cases"][0]["why"])
        self.assertGreater(int(xml.etree.ElementTree.parse(junit).getroot().get("failures")), 0)

        listed = json.loads(self.ctl("validate", "--history", "-o", "json").stdout)["validations"]
        passed = {entry["validation_id"]: entry["passed"] for entry in listed}
        self.assertTrue(passed[self.passed["validation_id"]])
        self.assertFalse(passed[failed["validation_id"]])
        table = self.ctl("validate", "--history").stdout
        self.assertIn("quick/small", table)
        self.assertIn(failed["validation_id"], table)
        self.assertNotIn("\033", table)
        self.assertIn("| VALIDATION |", self.ctl("validate", "--history", "-o", "markdown").stdout)

    def test_a_baseline_from_a_file_is_compared_with(self):
        baseline = self.dir / "baseline.json"
        baseline.write_text(self.text)
        result = self.ctl("validate", "--suite", self.suite, "--baseline", baseline, "-o", "json", check=False)
        self.assertIn(result.returncode, (0, 5), result.stderr)  # a test of the path: six repeats on a busy machine prove nothing
        regression = json.loads(result.stdout)["cases"][0]["regression"]
        self.assertEqual(regression["baseline_id"], self.passed["validation_id"])
        self.assertEqual((regression["repeats"], regression["baseline_repeats"]), (6, 6))
        self.assertGreater(regression["modules_tested"], 10)
        self.assertEqual(regression["changed"], [])

    def test_bad_suites_and_baselines_are_refused_by_name(self):
        wrong = self.dir / "wrong.yaml"
        wrong.write_text("cases: [{workload: dsocr-tiny-v1, repeat: 3}]\n")
        self.assert_refused(2, "cases[0].repeat", self.ctl("validate", "--suite", wrong, check=False))
        wrong.write_text("cases: [{workload: dsocr-tiny-v1, repeats: 0}]\n")
        self.assert_refused(2, "cases[0].repeats = 0", self.ctl("validate", "--suite", wrong, check=False))
        self.assert_refused(3, "v-none", self.ctl("validate", "--baseline", "v-none", check=False))
        self.assert_refused(2, "--max-error 'much'", self.ctl("validate", "--max-error", "much", check=False))

    def test_ctrl_c_ends_the_run(self):
        process = self.start("dsocrctl", "validate")
        for line in process.stderr:
            if ": loading" in line or ": warmup" in line or ": measuring" in line:
                break
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 7, stderr)
        self.assertIn("cancelled by you", stderr)
        wait_until(lambda: json.loads(self.ctl("status", "-o", "json").stdout)["runs_active"] == 0, "the run to end")


class LongCase(CliTest):
    """More requests than one process runs: 3 repeats of 70 are 140 and 70."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env["OMP_NUM_THREADS"] = "1"  # threads that wait for each other on a busy machine take most of the time
        suite = cls.dir / "suite.yaml"
        suite.write_text(LONG_SUITE)
        result = cls.ctl("validate", "--suite", suite, "-o", "json", check=False)
        if result.returncode != 0:
            raise AssertionError(result.stderr)
        cls.talk = result.stderr
        cls.case = json.loads(result.stdout)["cases"][0]
        listed = json.loads(cls.ctl("list", "-o", "json").stdout)["reports"]
        cls.reports = [json.loads(cls.ctl("model", entry["report_id"], "-o", "json").stdout) for entry in listed]
        cls.reports.sort(key=lambda report: -report["provenance"]["repeats"])

    def test_each_process_has_whole_repeats_and_leaves_a_report(self):
        self.assertEqual([report["provenance"]["repeats"] for report in self.reports], [140, 70])
        self.assertEqual(self.case["report_id"], self.reports[0]["report_id"])
        self.assertIn("run 1 of 2: ", self.talk)
        self.assertIn("run 2 of 2: ", self.talk)

    def test_a_stage_is_judged_by_the_median_of_the_requests_of_all_processes(self):
        nodes = {"sam": "vision/sam", "clip": "vision/clip", "projector": "projector", "prefill": "prefill"}
        measured = {stage["stage"]: stage["measured_ms"] for stage in self.case["stages"]}
        for stage, module_id in nodes.items():
            times = sorted(time for report in self.reports for entry in report["module_measurements"]
                           if entry["module_id"] == module_id for time in entry["repeat_times_ms"])
            self.assertEqual(len(times), 210)
            self.assertEqual(measured[stage], times[104], stage)  # the lower of the two in the middle
        self.assertEqual(measured["total"], min(report["measured_total_time_ms"] for report in self.reports))

    def test_a_later_validation_compares_with_the_repeats_of_both(self):
        for module in self.case["repeats"]["modules"]:
            self.assertEqual(len(module["self_time_ns"]), 3, module["module_id"])


if __name__ == "__main__":
    unittest.main()
