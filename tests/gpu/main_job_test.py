"""The main job on a real GPU, at full size, without CUDA graphs; and a calibration of it."""

import json
import os
import subprocess
import unittest

from cli import CliTest, nanoseconds


class MeasuredOnAGpu(CliTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.report = json.loads(cls.ctl("run", "--device", "cuda:0", "--calibration", "none", "-o", "json", timeout=240).stdout)
        cls.attribution = cls.report["attribution"]

    def test_time_is_attributed_to_named_modules(self):
        self.assertGreater(self.attribution["operations"], 10_000)
        self.assertGreaterEqual(self.attribution["attributed_share"], 0.999)

    def test_self_times_are_the_attributed_time_to_the_nanosecond(self):
        self_times = sum(nanoseconds(entry["self_device_time_ms"]) for entry in self.report["module_measurements"])
        self.assertEqual(self_times, nanoseconds(self.attribution["attributed_device_time_ms"]))

    def test_the_ledger_closes_and_nothing_is_lost(self):
        for ledger in (self.attribution["ledger"], *self.attribution["ledger"]["streams"]):
            self.assertEqual(ledger["launched"], ledger["recorded"] + ledger["dropped"] + ledger["invalid"] + ledger["pending"])
        self.assertEqual(self.attribution["ledger"]["dropped"] + self.attribution["ledger"]["invalid"], 0)

    def test_no_incident_is_reported(self):
        self.assertEqual(self.attribution["incidents"], [])


class CalibratedOnAGpu(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        runner = os.path.join(os.environ["DSOCR_BIN_DIR"], "dsocr-runner")
        command = [runner, "calibrate", "--device", "cuda:0", "--dtype", "bf16", "--budget", "60s"]
        cls.calibration = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=200).stdout)
        cls.points = {point["name"]: point for point in cls.calibration["points"]}

    def test_a_host_takes_microseconds(self):
        for name, time_ns in self.calibration["host"].items():
            self.assertGreater(time_ns, 500, name)
            self.assertLess(time_ns, 100_000, name)

    def test_kernels_are_timed_without_their_launches(self):
        residual = self.points["decode residual"]
        self.assertLess(residual["time_ns"], self.calibration["host"]["launch_ns"])


if __name__ == "__main__":
    unittest.main()
