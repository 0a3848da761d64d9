"""The census of operators, predicted against measured: a real dsocr-runner under the agent, over views, prompts and precisions."""

import json
import unittest

from cli import FIXTURES, CliTest

CROPS = ["--model", FIXTURES / "tiny_a", "--base-size", "256", "--image-size", "160", "--crop-mode", "1", "--page", "500x380"]
SMALL_VIEW = ["--model", FIXTURES / "tiny_a", "--base-size", "224", "--image-size", "224", "--crop-mode", "0", "--page", "200x200"]
LARGE_VIEW = ["--model", FIXTURES / "tiny_b", "--base-size", "320", "--image-size", "320", "--crop-mode", "0", "--page", "400x300"]


def calls_of(entry):
    return {part["category_id"]: part["calls"] for part in entry["operator_breakdown"] if part["calls"] > 0}


class Census(CliTest):
    def check(self, *workload):
        run = self.ctl("run", *workload, "--calibration", "none", "--repeats", "1", "-o", "json", timeout=500)
        report = json.loads(run.stdout)
        contains = {node["module_id"]: node["children"] for node in report["modules"]}

        def has_routed(module_id):
            return module_id.endswith("/moe/experts") or any(map(has_routed, contains[module_id]))

        for predicted, measured in zip(report["module_metrics"], report["module_measurements"]):
            module_id = predicted["module_id"]
            expected, counted = calls_of(predicted), calls_of(measured)
            self.assertEqual(sum(expected.values()), predicted["launches"], module_id)
            if has_routed(module_id):
                self.assertEqual(set(expected), set(counted), module_id)
                for category, count in counted.items():
                    self.assertAlmostEqual(expected[category], count, delta=0.02 * count, msg=(module_id, category))
            else:
                self.assertEqual(expected, counted, module_id)
        self.assertNotIn("census", report["notes"])

    def test_crops_in_bf16_dispatch_what_was_predicted(self):
        self.check(*CROPS, "--dtype", "bf16", "--seq-len", "120", "--max-new-tokens", "3")

    def test_a_view_larger_than_the_position_tables_in_fp32_does(self):
        self.check(*LARGE_VIEW, "--dtype", "fp32", "--seq-len", "301", "--max-new-tokens", "6")

    def test_whole_windows_and_a_single_new_token_do(self):
        self.check(*SMALL_VIEW, "--dtype", "bf16", "--seq-len", "60", "--max-new-tokens", "1")


if __name__ == "__main__":
    unittest.main()
