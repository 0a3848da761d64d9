"""Documents in other hands: a report read, compared and written again by Python, and files made to hurt `dsocrctl check`.

PyYAML (Debian: python3-yaml) is the other YAML implementation.
"""

import json
import pathlib
import re
import time
import unittest

import yaml

from cli import CliTest

SNAPSHOT = {"generated_at": "2026-01-01T00:00:00Z", "layers": [
    {"class_name": "Linear", "class_name_qualified": "torch.nn.modules.linear.Linear", "is_torch_builtin": True, "children": []},
    {"class_name": "Oddity", "class_name_qualified": "mine.Oddity", "is_torch_builtin": False, "children": []}]}
STAGES = {"stages": {"sam": {"stage_name": "sam", "params": 1, "macs": 1}}}


def artifacts_of(result):
    lines = dict(line.split(": ", 1) for line in result.stdout.splitlines()[:2])
    return lines["report_id"], pathlib.Path(lines["artifacts_dir"])


class RoundTrip(CliTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        _, directory = artifacts_of(cls.ctl("run", "--analytic-only"))
        cls.json_text = (directory / "report.json").read_text(encoding="utf-8")
        cls.yaml_text = (directory / "report.yaml").read_text(encoding="utf-8")
        cls.report = json.loads(cls.json_text)

    def check(self, name, text):
        file = self.dir / name
        file.write_text(text, encoding="utf-8")
        return self.ctl("check", file, check=False)

    def test_json_and_yaml_are_equal_values_of_equal_types(self):
        # repr tells 1 from 1.0 and True.
        self.assertEqual(repr(yaml.load(self.yaml_text, yaml.CSafeLoader)), repr(self.report))

    def test_what_another_language_writes_is_valid(self):
        for name, text in (("sorted.json", json.dumps(self.report, sort_keys=True)),
                           ("ascii.json", json.dumps(self.report, ensure_ascii=True, indent=7)),
                           ("other.yaml", yaml.dump(self.report, Dumper=yaml.CSafeDumper)),
                           ("flow.yaml", yaml.dump(self.report, Dumper=yaml.CSafeDumper, default_flow_style=True)),
                           ("json.yaml", self.json_text)):
            result = self.check(name, text)
            self.assertEqual(result.returncode, 0, f"{name}: {result.stdout}{result.stderr}")

    def test_a_broken_rule_is_one_line_with_path_and_value(self):
        def broken(change):
            report = json.loads(self.json_text)
            change(report)
            return report

        cases = {
            "layer_docs_dir: \"relative\"": lambda r: r.update(layer_docs_dir="relative"),
            "module_metrics[3].calls: -1": lambda r: r["module_metrics"][3].update(calls=-1),
            "module_metrics[0].share_of_model_time: 1.75": lambda r: r["module_metrics"][0].update(share_of_model_time=1.75),
            "module_metrics[2].module_id: \"nowhere\"": lambda r: r["module_metrics"][2].update(module_id="nowhere"),
            "operator_categories[1].category_id: \"gemm\"": lambda r: r["operator_categories"][1].update(category_id="gemm"),
            "modules[5].stage: \"cellar\"": lambda r: r["modules"][5].update(stage="cellar"),
            "model.hidden_size: \"wide\"": lambda r: r["model"].update(hidden_size="wide"),
            "model.colour: \"colour\"": lambda r: r["model"].update(colour="red"),
            "provenance: \"dtype\"": lambda r: r["provenance"].pop("dtype"),
        }
        for start, change in cases.items():
            for name, text in (("broken.json", json.dumps(broken(change))), ("broken.yaml", yaml.dump(broken(change), Dumper=yaml.CSafeDumper))):
                result = self.check(name, text)
                self.assertEqual(result.returncode, 2, start)
                self.assertTrue(any(line.startswith(start) for line in result.stdout.splitlines()), f"{start}\n{result.stdout}")

    def test_unknown_keys_may_be_allowed(self):
        self.report["extra"] = {"a": [1]}
        (self.dir / "extra.json").write_text(json.dumps(self.report))
        self.assertEqual(self.ctl("check", "extra.json", check=False).returncode, 2)
        self.assertEqual(self.ctl("check", "extra.json", "--allow-unknown").returncode, 0)
        del self.report["extra"]

    def test_a_hundred_megabytes_are_refused_within_a_second(self):
        hundred = 100_000_000
        for name, text in (("string.json", '{"report_id": "' + "x" * hundred), ("numbers.json", '{"x": [' + "0," * (hundred // 2)),
                           ("deep.json", "[" * hundred), ("long.yaml", "report_id: " + "x" * hundred),
                           ("items.yaml", "x:\n" + "- 0\n" * (hundred // 4))):
            file = self.dir / name
            file.write_text(text)
            start = time.monotonic()
            result = self.ctl("check", file, check=False)
            seconds = time.monotonic() - start
            self.assert_refused(2, name, result)
            self.assertIn(f"{len(text)} bytes", result.stderr)
            self.assertLess(seconds, 1)
            file.unlink()


class Determinism(CliTest):
    def artifacts_of_run(self, run_id):
        """Text by path, without what names the run, its place and its time."""
        _, model = artifacts_of(self.ctl("run", "--analytic-only", "--device", "h100-sxm", "--workload-profile-id", "dsocr-a4-v1",
                                         "--operator-snapshot", self.dir, "--run-id", run_id))
        texts = {}
        for file in sorted(model.parent.rglob("*")):
            if file.is_file():
                text = file.read_text().replace(str(model.parent), "DIR").replace(run_id, "ID")
                texts[str(file.relative_to(model.parent))] = re.sub(r'("?(?:started_at|duration_ms|generated_at)"?: ).*', r"\1…", text)
        return texts

    def test_two_runs_write_the_same_bytes(self):
        first, second = self.artifacts_of_run("run-1111"), self.artifacts_of_run("run-2222")
        self.assertGreater(len(first), 190)
        self.assertEqual(first.keys(), second.keys())
        for name, text in first.items():
            self.assertEqual(text, second[name], name)


class OperatorSnapshot(CliTest):
    def snapshot(self, name, layers, stages=STAGES):
        directory = self.dir / name
        directory.mkdir()
        (directory / "torchinfo-unique-layers.json").write_text(json.dumps(layers))
        (directory / "torchinfo-unique-layers.md").write_text("# Layers\n")
        (directory / "torchinfo-stages.json").write_text(json.dumps(stages))
        (directory / "torchinfo-summary.txt").write_text("Layer\n")
        return directory

    def run_with(self, *args):
        return artifacts_of(self.ctl("run", "--analytic-only", *args))

    def test_its_classes_are_in_the_report_and_it_is_in_the_reuse_key(self):
        built_in, _ = self.run_with()
        first, directory = self.run_with("--operator-snapshot", self.snapshot("one", SNAPSHOT))
        again, _ = self.run_with("--operator-snapshot", self.snapshot("two", SNAPSHOT | {"generated_at": "later"}))
        other, _ = self.run_with("--operator-snapshot", self.snapshot("three", SNAPSHOT | {"layers": SNAPSHOT["layers"][:1]}))
        self.assertEqual(first, again)
        self.assertEqual(len({built_in, first, other}), 3)
        report = json.loads((directory / "report.json").read_text())
        classes = {category["category_id"]: category["match_classes"] for category in report["operator_categories"]}
        self.assertEqual({key: value for key, value in classes.items() if value},
                         {"gemm": ["torch.nn.modules.linear.Linear"], "other": ["mine.Oddity"]})
        operators = json.loads((directory.parent / "target_operators.json").read_text())
        self.assertEqual([operator["default_category_id"] for operator in operators["operators"]], ["other", "gemm"])
        self.assertEqual(operators["layers_json_path"], str(self.dir / "one/torchinfo-unique-layers.json"))

    def test_what_it_lacks_is_made_from_our_model(self):
        empty = self.dir / "empty"
        empty.mkdir()
        first, directory = self.run_with("--operator-snapshot", empty)
        made = directory.parent / "torchinfo"
        self.assertEqual({file.name for file in made.iterdir()},
                         {"torchinfo-unique-layers.json", "torchinfo-unique-layers.md", "torchinfo-stages.json", "torchinfo-summary.txt"})
        operators = json.loads((directory.parent / "target_operators.json").read_text())
        self.assertEqual(operators["source_artifact_dir"], str(empty))
        self.assertEqual(operators["layers_json_path"], str(made / "torchinfo-unique-layers.json"))
        self.assertIn("torch.nn.modules.linear.Linear", {operator["class_name_qualified"] for operator in operators["operators"]})
        self.assertEqual([], [operator for operator in operators["operators"] if operator["default_category_id"] == "other"])
        stages = json.loads((made / "torchinfo-stages.json").read_text())["stages"]
        self.assertTrue(all(stage["params"] > 0 and stage["macs"] > 0 for stage in stages.values()), stages)
        again, _ = self.run_with("--operator-snapshot", empty)
        self.assertEqual(first, again)

        # A part is taken from the snapshot, and only the rest is made.
        part = self.snapshot("part", SNAPSHOT)
        (part / "torchinfo-stages.json").unlink()
        _, directory = self.run_with("--operator-snapshot", part)
        self.assertEqual([file.name for file in (directory.parent / "torchinfo").iterdir()], ["torchinfo-stages.json"])
        operators = json.loads((directory.parent / "target_operators.json").read_text())
        self.assertEqual(operators["layers_json_path"], str(part / "torchinfo-unique-layers.json"))
        self.assertEqual(operators["stages_json_path"], str(directory.parent / "torchinfo/torchinfo-stages.json"))

    def test_what_is_wrong_names_the_file(self):
        directory = self.snapshot("corrupt", SNAPSHOT, {"stages": 3})
        run = ("run", "--analytic-only", "--operator-snapshot")
        self.assert_refused(2, str(directory / "torchinfo-stages.json"), self.ctl(*run, directory, check=False))
        (directory / "torchinfo-unique-layers.json").write_text("{\"layers\": [")
        self.assert_refused(2, str(directory / "torchinfo-unique-layers.json"), self.ctl(*run, directory, check=False))
        self.assert_refused(2, "nowhere", self.ctl(*run, self.dir / "nowhere", check=False))


if __name__ == "__main__":
    unittest.main()
