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


if __name__ == "__main__":
    unittest.main()
