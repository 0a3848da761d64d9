"""The nightly examples: their files parse, and the commands in them are ones that dsocrctl takes."""

import re
import shlex
import shutil
import subprocess
import unittest

import yaml

from cli import SOURCE, CliTest

NIGHTLY = SOURCE / "tools/packaging/nightly"


class Nightly(CliTest):
    def flags(self):
        return set(re.findall(r"--[a-z-]+", self.ctl("validate", "--help").stdout))

    def assert_known(self, words):
        given = {word.split("=")[0] for word in words if word.startswith("--")}
        self.assertLessEqual(given, self.flags())
        self.assertIn("validate", words)

    def test_the_workflow_validates_and_shows_the_trend(self):
        workflow = yaml.safe_load((NIGHTLY / "github-actions.yml").read_text())
        self.assertIn("schedule", workflow[True])  # 'on' is a boolean in YAML 1.1
        commands = [step["run"] for step in workflow["jobs"]["validate"]["steps"] if "dsocrctl" in step.get("run", "")]
        self.assertEqual(len(commands), 2)
        for command in commands:
            self.assert_known(shlex.split(command.split(">>")[0]))
        suite = re.search(r"--suite (\S+)", commands[0]).group(1)
        self.assertTrue((SOURCE / suite).is_file())

    def test_the_cron_job_validates_on_one_machine(self):
        job = yaml.safe_load((NIGHTLY / "kubernetes-cronjob.yaml").read_text())
        self.assertEqual((job["apiVersion"], job["kind"]), ("batch/v1", "CronJob"))
        spec = job["spec"]["jobTemplate"]["spec"]
        self.assertEqual(spec["backoffLimit"], 0)
        pod = spec["template"]["spec"]
        self.assertIn("nodeSelector", pod)
        container = pod["containers"][0]
        self.assert_known(container["command"])
        self.assertLessEqual({mount["name"] for mount in container["volumeMounts"]}, {volume["name"] for volume in pod["volumes"]})

    def test_the_units_are_ones_that_systemd_takes(self):
        service = (NIGHTLY / "dsocr-validate.service").read_text()
        start = re.search(r"^ExecStart=(.*)$", service, re.MULTILINE).group(1)
        self.assert_known(shlex.split(start))
        if shutil.which("systemd-analyze") is None:
            self.skipTest("no systemd-analyze")
        (self.dir / "dsocr-validate.service").write_text(service.replace("/usr/bin/dsocrctl", "/bin/true"))
        shutil.copy(NIGHTLY / "dsocr-validate.timer", self.dir)
        result = subprocess.run(["systemd-analyze", "verify", self.dir / "dsocr-validate.timer", self.dir / "dsocr-validate.service"],
                                capture_output=True, text=True, timeout=60)
        ours = [line for line in result.stderr.splitlines() if "dsocr-validate" in line]
        self.assertEqual(ours, [])

    def test_the_suite_is_one_that_the_daemon_takes(self):
        # The suite is looked at before the baseline, and the baseline before anything runs.
        self.assert_refused(3, "v-none", self.ctl("validate", "--suite", NIGHTLY / "suite.yaml", "--baseline", "v-none", check=False))


if __name__ == "__main__":
    unittest.main()
