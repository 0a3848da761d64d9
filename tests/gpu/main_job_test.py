"""The main job on a real GPU, at full size, without CUDA graphs."""

import json
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


if __name__ == "__main__":
    unittest.main()
