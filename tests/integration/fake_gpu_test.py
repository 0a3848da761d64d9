"""A run on a GPU that is not there: the real daemon, runner, model and agent, and a libcupti that tells of one kernel for every
operator call of the runner (tests/fake/torch_gpu.cc)."""

import json
import os
import unittest

from cli import BIN, TINY, CliTest, nanoseconds

FAKE = os.environ["DSOCR_FAKE_DIR"]
KERNEL_NS = 1500  # of every kernel of the fake


class ReportOfAFakeGpu(CliTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        truth = cls.dir / "truth.json"
        # Only the measured runner has the GPU: the daemon and the tools it asks know nothing of it.
        wrapper = cls.dir / "runner"
        wrapper.write_text(f"""#!/bin/sh
if [ "$1" = serve ]; then
  export LD_PRELOAD="{FAKE}/libcupti.so.13:{FAKE}/libfake_gpu.so" FAKE_GPU_TRUTH="{truth}"
fi
exec "{BIN}/dsocr-runner" "$@"
""")
        wrapper.chmod(0o700)
        cls.env["DSOCR_RUNNER_PATH"] = str(wrapper)
        cls.report = json.loads(cls.ctl("run", *TINY, "-o", "json").stdout)
        cls.truth = json.loads(truth.read_text())
        cls.nodes = {module["module_id"]: module for module in cls.report["modules"]}
        cls.measured = {entry["module_id"]: entry for entry in cls.report["module_measurements"]}
        cls.metrics = {metric["module_id"]: metric for metric in cls.report["module_metrics"]}

    def test_every_kernel_of_the_request_belongs_to_a_leaf(self):
        attribution = self.report["attribution"]
        self.assertEqual(attribution["unattributed_device_time_ms"], 0)
        inner = {module_id: entry["self_device_time_ms"] for module_id, entry in self.measured.items()
                 if self.nodes[module_id]["children"] and entry["self_device_time_ms"] > 0}
        self.assertEqual(inner, {})

    def test_device_time_is_that_of_the_kernels_to_the_nanosecond(self):
        for module_id, entry in self.measured.items():
            self.assertEqual(nanoseconds(entry["device_time_ms"]), entry["launches"] * KERNEL_NS, module_id)

    def test_every_node_was_entered_as_often_as_predicted(self):
        differing = {module_id: (self.metrics[module_id]["calls"], self.measured[module_id]["calls"])
                     for module_id in self.nodes if self.metrics[module_id]["calls"] != self.measured[module_id]["calls"]}
        self.assertEqual(differing, {})

    def test_what_follows_a_synchronisation_is_a_cause_of_its_own(self):
        attribution = self.report["attribution"]
        self.assertGreater(attribution["wait_time_ms"], 0)
        sync_gap_ns = nanoseconds(attribution["sync_gap_time_ms"])
        self.assertGreater(sync_gap_ns, 0)
        residual = self.report["residual"]
        causes = {part["cause"]: nanoseconds(part["residual_ms"]) for part in residual["parts"]}
        self.assertEqual(causes["synchronisation"], sync_gap_ns)  # on a CPU none was predicted
        self.assertEqual(sum(nanoseconds(part["residual_ms"]) for part in residual["parts"]), nanoseconds(residual["residual_ms"]))
        text = self.ctl("export", self.report["report_id"], "--format", "markdown").stdout
        self.assertIn("more time lost to synchronisation than predicted", text)
        self.assertIn("after such a wait the device had nothing to do", text)

    def test_every_launch_is_in_the_ledger(self):
        ledger = self.report["attribution"]["ledger"]
        self.assertEqual(ledger["launched"], self.truth["launches"])
        self.assertEqual(ledger["recorded"], self.truth["launches"])
        self.assertEqual((ledger["dropped"], ledger["invalid"], ledger["pending"]), (0, 0, 0))
        self.assertEqual(sum(stream["launched"] for stream in ledger["streams"]), ledger["launched"])
        self.assertEqual(self.report["attribution"]["incidents"], [])


if __name__ == "__main__":
    unittest.main()
