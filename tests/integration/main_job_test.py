"""The main job end to end on a small model: what `dsocrctl run` promises of every report."""

import json
import pathlib
import unittest

from cli import FIXTURES, TINY, CliTest, nanoseconds


class MeasuredReport(CliTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        result = cls.ctl("run", *TINY, "-o", "json")
        cls.report = json.loads(result.stdout)
        cls.talk = result.stderr
        cls.nodes = {module["module_id"]: module for module in cls.report["modules"]}
        cls.metrics = {metric["module_id"]: metric for metric in cls.report["module_metrics"]}
        cls.measured = {entry["module_id"]: entry for entry in cls.report["module_measurements"]}

    def leaves(self):
        return [module_id for module_id, node in self.nodes.items() if not node["children"]]

    def test_every_node_is_predicted_and_measured(self):
        self.assertEqual(set(self.nodes), set(self.metrics))
        self.assertEqual(set(self.nodes), set(self.measured))

    def test_every_node_was_entered_as_often_as_predicted(self):
        differing = {module_id: (self.metrics[module_id]["calls"], self.measured[module_id]["calls"])
                     for module_id in self.nodes if self.metrics[module_id]["calls"] != self.measured[module_id]["calls"]}
        self.assertEqual(differing, {})

    def test_every_leaf_that_should_run_did_work(self):
        idle = [module_id for module_id in self.leaves()
                if self.metrics[module_id]["calls"] > 0 and self.measured[module_id]["launches"] == 0]
        self.assertEqual(idle, [])

    def test_the_experts_that_tokens_picked_are_counted(self):
        config = json.loads((FIXTURES / "tiny_a/config.json").read_text())
        config = config.get("language_config", config)
        each, all_experts = config["num_experts_per_tok"], config["n_routed_experts"]
        counted = {module_id: entry["distinct_experts"] for module_id, entry in self.measured.items()
                   if entry["distinct_experts"] is not None}
        self.assertEqual(set(counted), {module_id for module_id in self.nodes if module_id.endswith("/moe/experts")})
        for module_id, distinct in counted.items():
            if module_id.startswith("decode/"):
                self.assertEqual(distinct, each, module_id)
            else:
                self.assertTrue(each < distinct <= all_experts, (module_id, distinct))

    def test_every_pick_of_every_layer_is_counted(self):
        config = json.loads((FIXTURES / "tiny_a/config.json").read_text())
        config = config.get("language_config", config)
        each, all_experts = config["num_experts_per_tok"], config["n_routed_experts"]
        layers = list(range(config["first_k_dense_replace"], config["num_hidden_layers"]))
        for module_id, entry in self.measured.items():
            picks = entry["expert_picks"]
            if not module_id.endswith("/moe/experts"):
                self.assertEqual(picks, [], module_id)
                continue
            tokens = 89 if module_id.startswith("prefill/") else 15
            self.assertEqual([layer["layer"] for layer in picks], layers)
            for layer in picks:
                self.assertEqual(len(layer["picks"]), all_experts)
                self.assertEqual(sum(layer["picks"]), tokens * each, module_id)
            if module_id.startswith("prefill/"):
                hit = sum(sum(count > 0 for count in layer["picks"]) for layer in picks)
                self.assertAlmostEqual(entry["distinct_experts"], hit / len(layers), places=12)

    def test_self_times_and_the_unattributed_rest_are_the_total_to_the_nanosecond(self):
        attribution = self.report["attribution"]
        self_times = sum(nanoseconds(entry["self_device_time_ms"]) for entry in self.measured.values())
        unattributed = nanoseconds(attribution["unattributed_device_time_ms"])
        self.assertEqual(self_times, nanoseconds(attribution["attributed_device_time_ms"]))
        self.assertEqual(self_times + unattributed, nanoseconds(self.measured["deepseek_ocr"]["device_time_ms"]) + unattributed)

    def test_time_is_attributed_to_named_modules_and_mostly_to_leaves(self):
        attribution = self.report["attribution"]
        total = attribution["attributed_device_time_ms"] + attribution["unattributed_device_time_ms"]
        leaves = sum(self.measured[module_id]["device_time_ms"] for module_id in self.leaves())
        self.assertGreaterEqual(attribution["attributed_share"], 0.999)
        self.assertGreaterEqual(leaves / total, 0.97)
        self.assertLess(self.measured["deepseek_ocr"]["self_device_time_ms"] / total, 0.01)
        self.assertEqual(attribution["records_dropped"], 0)
        self.assertEqual(attribution["records_invalid"], 0)

    def test_wall_is_busy_and_gap_on_a_cpu(self):
        for module_id, entry in self.measured.items():
            wall = nanoseconds(entry["wall_time_ms"])
            self.assertEqual(wall, nanoseconds(entry["busy_time_ms"]) + nanoseconds(entry["gap_time_ms"]), module_id)

    def test_parents_are_the_sum_of_their_children_and_themselves(self):
        for module_id, node in self.nodes.items():
            if module_id == "deepseek_ocr" or not node["children"]:
                continue
            children = sum(nanoseconds(self.measured[child]["device_time_ms"]) for child in node["children"])
            own = nanoseconds(self.measured[module_id]["self_device_time_ms"])
            self.assertEqual(nanoseconds(self.measured[module_id]["device_time_ms"]), children + own, module_id)

    def test_the_residual_is_explained_to_the_nanosecond(self):
        residual = self.report["residual"]
        nanoseconds = [round(part["residual_ms"] * 1e6) for part in residual["parts"]]
        self.assertEqual(sum(nanoseconds), round(residual["residual_ms"] * 1e6))
        self.assertNotIn(0, nanoseconds)
        self.assertEqual(sorted(map(abs, nanoseconds), reverse=True), list(map(abs, nanoseconds)))
        total = self.report["measured_total_time_ms"] - self.report["predicted_total_time_ms"]
        self.assertAlmostEqual(residual["residual_ms"], total, delta=1e-6)
        self.assertIn("operators", {part["cause"] for part in residual["parts"]})

    def test_the_ratio_is_predicted_over_measured(self):
        self.assertAlmostEqual(self.report["predicted_vs_measured_ratio"],
                               self.report["predicted_total_time_ms"] / self.report["measured_total_time_ms"], places=9)

    def test_artifacts_hold_the_same_report(self):
        directory = next(line.split(": ", 1)[1] for line in self.talk.splitlines() if line.startswith("artifacts_dir: "))
        self.assertTrue(directory.endswith("static_analysis/analytic_model"))
        stored = json.loads((pathlib.Path(directory) / "report.json").read_text(encoding="utf-8"))
        self.assertEqual(stored, self.report)
        pages = {path.name for path in (pathlib.Path(directory) / "layers").iterdir()}
        self.assertEqual(len(pages), len(self.nodes) + 1)
        for name in ("static_compute.json", "static_compute.md", "static_compute_table.md"):
            self.assertTrue((pathlib.Path(directory).parent / name).is_file(), name)

    def test_the_export_is_the_stored_document(self):
        exported = self.ctl("export", self.report["report_id"], "--format", "json").stdout
        self.assertEqual(json.loads(exported), self.report)
        summary = json.loads(self.ctl("summary", "latest", "-o", "json").stdout)
        self.assertEqual(summary["report_id"], self.report["report_id"])
        self.assertEqual(summary["measured_total_time_ms"], self.report["measured_total_time_ms"])

    def test_a_difference_is_told_by_modules_that_add_up(self):
        longer = self.dir / "longer.json"
        changed = json.loads(json.dumps(self.report))
        changed["report_id"] = "longer"
        changed["measured_total_time_ms"] += 1.5
        longer.write_text(json.dumps(changed))
        diff = json.loads(self.ctl("diff", self.report["report_id"], longer, "-o", "json").stdout)
        self.assertEqual(diff["basis"], "measured")
        self.assertEqual(nanoseconds(diff["difference_ms"]), 1500000)
        for rows in (diff["modules"], diff["operators"]):
            self.assertEqual(sum(nanoseconds(row["difference_ms"]) for row in rows), 1500000)
            self.assertEqual(rows[0]["id"], "[idle]")
        self.assertEqual(self.ctl("diff", "latest", "nothing", check=False).returncode, 3)
        self.assertEqual(self.ctl("diff", "latest", check=False).returncode, 2)

    def test_what_was_written_checks_out(self):
        path = self.dir / "report.yaml"
        self.ctl("export", self.report["report_id"], "--format", "yaml", "--out", path)
        self.assertEqual(self.ctl("check", path).returncode, 0)


if __name__ == "__main__":
    unittest.main()
