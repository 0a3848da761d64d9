"""Attaching to live jobs of PyTorch: what the report says of them, and what is left in them."""

import bisect
import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import unittest

from cli import BIN, CliTest, FIXTURES, SOURCE, wait_until

PYTHON = os.environ["DSOCR_TEST_PYTHON"]
JOBS = SOURCE / "tests/jobs"
UNSHARE = ("unshare", "-m", "-p", "-f", "--kill-child", "--mount-proc")
HAS_NAMESPACES = subprocess.run([*UNSHARE, "true"], stderr=subprocess.DEVNULL).returncode == 0


class Job:
    """A job of tests/jobs: it runs until its standard input ends."""

    def __init__(self, script, *arguments, prefix=(), env=None):
        self.process = subprocess.Popen([*prefix, PYTHON, str(JOBS / script), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"} | (env or {}))
        self.pid = self.process.pid
        line = self.process.stdout.readline()
        if line != "ready\n":
            raise AssertionError(f"{script} said {line!r}")

    def report(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def end(self):
        """What it says at its end."""
        self.process.stdin.close()
        last = self.process.stdout.read().splitlines()[-1]
        self.process.wait(timeout=60)
        self.process.stdout.close()
        if self.process.returncode != 0:
            raise AssertionError(f"the job ended with {self.process.returncode}")
        return json.loads(last)


def of_threads(pid, file):
    """A file of each thread that is there; some end meanwhile."""
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            yield pathlib.Path(f"/proc/{pid}/task/{task}/{file}").read_text()


def comms(pid):
    return sorted(comm.strip() for comm in of_threads(pid, "comm"))


def descriptors(pid):
    links = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            links.append(re.sub(r"\d+", "N", os.readlink(f"/proc/{pid}/fd/{fd}")))
        except FileNotFoundError:
            pass
    return sorted(links)


def tracers(pid):
    """Of its threads."""
    return {tracer for status in of_threads(pid, "status") for tracer in re.findall(r"TracerPid:\t([1-9]\d*)", status)}


def measured(report):
    """Device time of each module itself, by true path."""
    return {measurement["job_paths"][0]: measurement["self_device_time_ms"]
            for measurement in report["module_measurements"] if measurement["job_paths"]}


class AttachTest(CliTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ctl("list")  # starts the daemon

    def job(self, *arguments, **kwargs):
        job = Job(*arguments, **kwargs)
        self.addCleanup(lambda: job.process.poll() is None and (job.process.kill(), job.process.wait(), job.process.communicate()))
        return job

    def routes(self, pid):
        processes = json.loads(self.ctl("ps", "-o", "json").stdout)["processes"]
        return next((process["routes"] for process in processes if process["pid"] == pid), [])

    def recording(self, pid, *flags):
        """An attach that records, and goes on."""
        process = self.start("dsocrctl", "attach", str(pid), "--watch", "-o", "json", *flags)
        while "MODULE" not in process.stderr.readline():  # shown once a second, with what was recorded
            self.assertIsNone(process.poll())
        return process

    def attach(self, pid, *flags):
        result = self.ctl("attach", pid, "-o", "json", *flags)
        return json.loads(result.stdout), result.stderr


class Reports(AttachTest):
    def test_a_job_is_seen_by_its_own_module_paths(self):
        job = self.job("toy_job.py")
        report, said = self.attach(job.pid, "--depth", "all", "--requests", "20")
        self.assertIsNone(report["model"])
        self.assertIsNone(report["predicted_total_time_ms"])
        self.assertEqual(report["module_metrics"], [])
        self.assertEqual(report["attribution"]["route"], "inject")
        self.assertGreater(report["attribution"]["operations"], 20)
        self.assertGreater(report["attribution"]["attributed_share"], 0.9)  # the job sums its result outside of the model
        self.assertEqual(report["attribution"]["records_dropped"], 0)
        self.assertEqual(report["attribution"]["records_invalid"], 0)
        self.assertIn("first record after", said)
        paths = measured(report)
        self.assertGreater(paths["blocks.0.fc1"], 0)
        self.assertGreater(paths["halving.fc"], 0)
        tree = {module["module_id"]: module["parent_id"] for module in report["modules"]}
        self.assertEqual(tree["blocks.0.fc1"], "blocks.0")
        job.end()

    def test_stages_are_the_roots_children(self):
        job = self.job("toy_job.py")
        report, _ = self.attach(job.pid, "--requests", "5")
        self.assertIn("head", measured(report))
        self.assertNotIn("blocks.0.fc1", measured(report))
        job.end()

    def test_the_report_is_kept_and_exported_like_any_other(self):
        job = self.job("toy_job.py")
        report, _ = self.attach(job.pid, "--duration", "300ms", "--run-id", "seen")
        self.assertEqual(report["report_id"], "seen")
        self.assertEqual(json.loads(self.ctl("model", "seen", "-o", "json").stdout), report)
        self.assertIn("blocks", self.ctl("export", "seen", "--format", "csv").stdout)
        self.assertTrue((self.dir / "tmp/profile-output/seen/trace/records.dsocr").is_file())
        job.end()

    def test_two_jobs_at_once_do_not_mix(self):
        jobs = [self.job("toy_job.py", "--blocks", "2"), self.job("toy_job.py", "--blocks", "4")]
        attached = [self.start("dsocrctl", "attach", str(job.pid), "-o", "json", "--depth", "all", "--duration", "1s") for job in jobs]
        reports = [json.loads(process.communicate(timeout=60)[0]) for process in attached]
        self.assertEqual([("blocks.1" in measured(report), "blocks.3" in measured(report)) for report in reports],
                         [(True, False), (True, True)])
        for job in jobs:
            job.end()

    def test_children_are_recorded_where_they_compute(self):
        shell = subprocess.Popen(["sh", "-c", f"{PYTHON} {JOBS}/toy_job.py; exit $?"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(lambda: shell.communicate())
        self.assertEqual(shell.stdout.readline(), "ready\n")
        alone = self.ctl("attach", shell.pid, check=False)
        self.assert_refused(1, "--children", alone)
        report, _ = self.attach(shell.pid, "--children", "--requests", "3")
        self.assertIn("head", measured(report))

    def test_a_deepseek_ocr_has_its_prediction_beside_what_was_measured(self):
        job = self.job("deepseek_ocr_job.py")
        report, _ = self.attach(job.pid, "--depth", "all", "--duration", "1500ms")
        self.assertEqual(report["model"]["model_variant"], "deepseek-ocr-v1-base")
        self.assertGreater(report["predicted_total_time_ms"], 0)
        self.assertGreater(report["attribution"]["attributed_share"], 0.9)
        nodes = {measurement["module_id"]: measurement for measurement in report["module_measurements"]}
        for module, path in (("vision/sam/patch_embed", "model.sam_model.patch_embed"), ("decode/norm", "model.norm"),
                             ("projector/linear", "model.projector")):
            self.assertIn(path, nodes[module]["job_paths"])
            self.assertGreater(nodes[module]["device_time_ms"], 0)
            self.assertGreater(nodes[module]["predicted_time_ms"], 0)
        self.ctl("check", self.dir / "tmp/profile-output" / report["report_id"] / "static_analysis/analytic_model/report.json")
        job.end()

    def assert_whole_requests(self, report, wanted):
        """A window ends soon after the last of them: a fast job has begun others by then."""
        seen = re.search(r"(\d+) of (\d+) whole requests were seen", report["notes"])
        self.assertIsNotNone(seen, report["notes"])
        self.assertGreaterEqual(int(seen[1]), wanted)
        self.assertEqual(int(seen[2]), wanted)

    def test_a_request_of_a_deepseek_ocr_is_a_prefill_with_its_decode_steps(self):
        job = self.job("deepseek_ocr_job.py", "--new-tokens", "5")
        report, _ = self.attach(job.pid, "--requests", "3")
        calls = {measurement["module_id"]: measurement["calls"] for measurement in report["module_measurements"]}
        self.assert_whole_requests(report, 3)
        self.assertGreaterEqual(calls["prefill"], 4)  # the fourth tells that the third is over
        self.assertGreaterEqual(calls["decode"], 12)
        job.end()

    def test_the_last_request_is_over_when_the_job_is_idle(self):
        job = self.job("deepseek_ocr_job.py", "--on-demand")
        process = self.start("dsocrctl", "attach", str(job.pid), "--requests", "1", "-o", "json")
        wait_until(lambda: "dsocr-agent" in comms(job.pid), "the agent to be there")
        for _ in range(20):
            job.report()  # a step; the first may come before the hooks
            with contextlib.suppress(subprocess.TimeoutExpired):
                output = process.communicate(timeout=6)[0]  # a second of idleness and the report; else after another step
                break
        self.assert_whole_requests(json.loads(output), 1)
        job.end()

    def test_a_job_of_vllms_module_names_is_recognised(self):
        job = self.job("vllm_names_job.py", "--new-tokens", "5")
        report, _ = self.attach(job.pid, "--depth", "all", "--requests", "2")
        self.assertEqual(report["model"]["model_variant"], "deepseek-ocr-v1-base")
        self.assert_whole_requests(report, 2)
        nodes = {measurement["module_id"]: measurement for measurement in report["module_measurements"]}
        for module, path in (("vision/sam/patch_embed", "sam_model.patch_embed"), ("vision/clip/layer[0-1]/mlp/fc1", "vision_model.transformer.layers.1.mlp.fc1"),
                             ("decode/layer[1-2]/moe/experts", "language_model.model.layers.2.mlp.experts"),
                             ("decode/layer[1-2]/moe/shared_experts", "language_model.model.layers.1.mlp.shared_experts"),
                             ("decode/embed_tokens", "language_model.model.embed_tokens"), ("decode/lm_head", "language_model.logits_processor")):
            self.assertIn(path, nodes[module]["job_paths"])
            self.assertGreater(nodes[module]["device_time_ms"], 0)
            self.assertGreater(nodes[module]["predicted_time_ms"], 0)
        # The window may begin or end within a step.
        self.assertAlmostEqual(nodes["decode"]["calls"], nodes["decode/lm_head"]["calls"], delta=2)
        job.end()

    def test_a_prepared_process_is_entered_through_its_own_agent(self):
        job = self.job("toy_job.py", env={"LD_PRELOAD": str(BIN / "libdsocr_agent.so"), "XDG_RUNTIME_DIR": self.env["XDG_RUNTIME_DIR"]})
        for _ in range(2):
            wait_until(lambda: "agent" in self.routes(job.pid), "the agent to listen")
            report, _ = self.attach(job.pid, "--route", "agent", "--requests", "2")
            self.assertEqual(report["attribution"]["route"], "agent")
            self.assertIn("head", measured(report))
        job.end()

    def test_pytorchs_own_profiler_is_the_last_way_in(self):
        sockets = self.dir / "kineto"
        sockets.mkdir(mode=0o700)
        job = self.job("toy_job.py", env={"KINETO_USE_DAEMON": "1", "KINETO_IPC_SOCKET_DIR": str(sockets)})
        report, _ = self.attach(job.pid, "--route", "kineto", "--duration", "100ms")
        self.assertEqual(report["attribution"]["route"], "kineto")
        self.assertTrue(any("Linear" in module["module_id"] for module in report["modules"]))
        job.end()

    def test_pytorchs_own_profiler_is_switched_on_where_it_is_asked_for_alone(self):
        job = self.job("toy_job.py", env={"XDG_RUNTIME_DIR": self.env["XDG_RUNTIME_DIR"]})
        report, said = self.attach(job.pid, "--route", "kineto", "--explain", "--duration", "100ms")
        self.assertIn("the agent switches PyTorch's profiler on", said)
        self.assertEqual(report["attribution"]["route"], "kineto")
        report, _ = self.attach(job.pid, "--requests", "2")
        self.assertEqual(report["attribution"]["route"], "inject")
        job.end()

    if HAS_NAMESPACES:
        def test_a_job_in_other_namespaces_that_cannot_see_the_agent(self):
            job = self.job("toy_job.py", prefix=(*UNSHARE, "sh", "-c", f'mount -t tmpfs none {BIN} && "$@"', "sh"))
            report, _ = self.attach(job.pid, "--children", "--requests", "2")
            self.assertIn("head", measured(report))
            job.end()

    def test_a_launched_job_is_seen_by_its_modules(self):
        out = self.dir / "launched.json"
        self.ctl("launch", "--out", out, "--depth", "all", "--", PYTHON, JOBS / "toy_job.py", "--seconds", "1")
        report = json.loads(out.read_text())
        self.assertEqual(report["attribution"]["route"], "launch")
        self.assertGreater(measured(report)["blocks.0.fc1"], 0)


class Traces(AttachTest):
    """What an attach leaves in the job: nothing."""

    def test_cycles_leave_no_thread_no_descriptor_and_the_same_results(self):
        job = self.job("toy_job.py")
        before = job.report()
        threads, open_before = comms(job.pid), descriptors(job.pid)
        for _ in range(5):
            self.attach(job.pid, "--requests", "2")
        self.assertEqual((comms(job.pid), descriptors(job.pid)), (threads, open_before))
        self.assertEqual(job.end()["checksum"], before["checksum"])

    def test_ctrl_c_and_detach_end_it_with_a_report(self):
        job = self.job("toy_job.py")
        for end in (lambda process: process.send_signal(signal.SIGINT), lambda process: self.ctl("detach", job.pid)):
            process = self.recording(job.pid)
            end(process)
            out, _ = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 0)
            self.assertGreater(json.loads(out)["attribution"]["operations"], 0)
        self.assertEqual(self.ctl("detach", job.pid, check=False).returncode, 3)
        job.end()

    def test_a_daemon_that_is_killed_leaves_no_hook(self):
        job = self.job("toy_job.py")
        threads = comms(job.pid)
        process = self.start("dsocrctl", "attach", str(job.pid))
        wait_until(lambda: "dsocr-agent" in comms(job.pid), "the agent to be there")
        os.kill(self.daemon_pid(), signal.SIGKILL)
        wait_until(lambda: comms(job.pid) == threads, "the agent to go")
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 4)
        job.end()
        self.ctl("list")  # the next daemon


    def test_a_daemon_that_is_killed_while_it_holds_a_thread_does_no_harm(self):
        job = self.job("toy_job.py")
        self.attach(job.pid, "--requests", "2")
        threads, checksum = comms(job.pid), job.report()["checksum"]
        for _ in range(3):
            self.ctl("list")  # starts a daemon
            daemon = self.daemon_pid()
            process = self.start("dsocrctl", "attach", str(job.pid), "--route", "inject")
            while not tracers(job.pid) and process.poll() is None and "dsocr-agent" not in comms(job.pid):
                pass
            os.kill(daemon, signal.SIGKILL)
            process.communicate(timeout=60)
            wait_until(lambda: not tracers(job.pid) and comms(job.pid) == threads, "the job to be alone", seconds=60)
        self.assertEqual(job.end()["checksum"], checksum)
        self.ctl("list")  # the next daemon


class Ends(AttachTest):
    """A job is not there any more, or is another, before the recording ends."""

    def ended(self, process):
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, err)
        return json.loads(out)

    def test_of_a_job_that_ends_meanwhile_what_was_recorded_is_reported(self):
        for end in (lambda job: job.end(), lambda job: job.process.kill()):
            job = self.job("toy_job.py")
            process = self.recording(job.pid)
            end(job)
            self.assertGreater(self.ended(process)["attribution"]["operations"], 0)

    def test_a_job_that_becomes_another_program_is_over(self):
        script = self.dir / "exec_job.py"
        script.write_text(f"""
import os, runpy, signal, sys
signal.signal(signal.SIGUSR1, lambda *_: os.execlp("sleep", "sleep", "60"))
sys.argv = ["toy_job.py"]
runpy.run_path("{JOBS}/toy_job.py", run_name="__main__")
""")
        job = self.job(script)
        process = self.recording(job.pid)
        os.kill(job.pid, signal.SIGUSR1)
        self.assertGreater(self.ended(process)["attribution"]["operations"], 0)
        self.assert_refused(1, "no libtorch", self.ctl("attach", job.pid, check=False))


class Refusals(AttachTest):
    def test_of_two_attaches_at_once_one_is_refused(self):
        job = self.job("toy_job.py")
        processes = [self.start("dsocrctl", "attach", str(job.pid), "--watch") for _ in range(2)]
        wait_until(lambda: any(process.poll() is not None for process in processes), "one of them to be refused", seconds=60)
        refused, recording = sorted(processes, key=lambda process: process.poll() is None)
        _, err = refused.communicate()
        self.assertEqual(refused.returncode, 1)
        self.assertRegex(err, rf"error: attach to {job.pid}: run '.+' records it already; end that with 'dsocrctl detach {job.pid}'")
        while "MODULE" not in recording.stderr.readline():
            self.assertIsNone(recording.poll())
        self.ctl("detach", job.pid)
        recording.communicate(timeout=60)
        self.assertEqual(recording.returncode, 0)
        job.end()

    def test_no_such_process(self):
        self.assert_refused(3, "process 4194304: there is none", self.ctl("attach", 4194304, check=False))

    def test_a_process_that_does_not_compute(self):
        sleeper = subprocess.Popen(["sleep", "60"])
        self.addCleanup(lambda: (sleeper.kill(), sleeper.wait()))
        self.assert_refused(1, "no libtorch", self.ctl("attach", sleeper.pid, check=False))

    def test_ps_names_what_can_be_attached_to(self):
        job = self.job("toy_job.py")
        by_pid = {process["pid"]: process for process in json.loads(self.ctl("ps", "-o", "json").stdout)["processes"]}
        process = by_pid[job.pid]
        self.assertTrue(process["attachable"])
        self.assertIn("inject", process["routes"])
        self.assertIn("torch", process["framework"])
        self.assertIn("toy_job.py", process["command"])
        self.assertEqual(process["why"], "")
        job.end()


class UnrangedJobs(AttachTest):
    """C++ jobs that name no module: operators are put where the order of a known model's operators says."""

    def unranged_job(self):
        process = subprocess.Popen([BIN.parent / "tests/unranged_job", FIXTURES / "tiny_a", "--log"], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        self.assertEqual(process.stdout.readline(), "ready\n")
        return process

    def test_operators_are_put_into_the_modules_that_called_them(self):
        job = self.unranged_job()
        for seconds in (1, 4, 16):  # until a whole page is in the window
            report, _ = self.attach(job.pid, "--depth", "all", "--duration", f"{seconds}s", "--run-id", f"r{seconds}")
            if report["model"]:
                break
        self.assertEqual(report["model"]["hidden_size"], 64)
        self.assertGreater(report["predicted_total_time_ms"], 0)
        self.assertIn("the job names no modules", report["notes"])
        self.assertEqual(report["attribution"]["records_invalid"], 0)
        by_id = {measurement["module_id"]: measurement for measurement in report["module_measurements"]}
        clip = by_id["vision/clip"]
        self.assertEqual(clip["inferred_device_time_ms"], clip["device_time_ms"])
        self.assertGreater(clip["inferred_confidence"], 0.9)
        said, _ = job.communicate(timeout=60)
        called = [(int(start), module) for start, _, module in (line.split("\t") for line in said.splitlines())]
        trace = self.dir / f"tmp/profile-output/r{seconds}/trace/records.dsocr"
        lines = subprocess.run([BIN.parent / "tests/align_trace", trace], capture_output=True, text=True, check=True).stdout.splitlines()
        self.check_places(called, [line.split("\t") for line in lines])

    def check_places(self, called, placed):
        starts = [start for start, _ in called]
        total = near = sure = right = 0
        begun = False
        for start, end, _, module, confidence, _ in placed:
            begun = begun or module != ""
            if not begun:
                continue  # no landmark yet
            start, duration = int(start), int(end) - int(start)
            at = bisect.bisect_left(starts, start)
            truth = min(called[max(at - 1, 0):at + 1], key=lambda call: abs(call[0] - start))[1]
            total += duration
            near += duration if module in (truth, truth.rpartition("/")[0]) else 0
            if float(confidence) >= 0.9:
                sure += 1
                right += (truth + "/").startswith(module + "/") or module == "deepseek_ocr"
        self.assertGreater(near / total, 0.95)
        self.assertGreater(right / sure, 0.97)

    def test_without_sizes_its_operators_are_nobodys(self):
        job = self.unranged_job()
        report, _ = self.attach(job.pid, "--duration", "200ms")
        self.assertIsNone(report["model"])
        self.assertIn("--depth all", report["notes"])
        self.assertEqual(report["attribution"]["attributed_share"], 0)
        job.communicate(timeout=60)


if __name__ == "__main__":
    unittest.main()
