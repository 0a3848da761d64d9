"""Processes under a deadline, and the two ways to put one under the agent: dsocrd, or attribute_job where there is no dsocrd."""

import dataclasses
import importlib.util
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

JOB = pathlib.Path(__file__).with_name("torch_job.py")


class NotRun(Exception):
    """The step has no place on this machine, or in the time that is left."""


class StepFailed(Exception):
    """What the step found is not what is claimed."""


@dataclasses.dataclass
class Recording:
    """What was recorded of one job."""

    report: dict  # as dsocrctl has it; without dsocrd, attribution and module_measurements alone
    trace: pathlib.Path
    stdout: str

    @property
    def attribution(self):
        return self.report["attribution"]


class Check:
    """What the steps share: the device, where things are, what is left of the time."""

    def __init__(self, root, scratch, device, programs_dir):
        self.root = root
        self.scratch = scratch
        self.device = device
        self.programs_dir = programs_dir
        self.has_gpu = device != "cpu"
        self.deadline = 0.0
        self.figures = {}  # of the step that is running
        self.facts = {}  # of the machine
        self.recordings = []  # files for the archives
        self._launcher = None  # Daemon or Standalone
        torch = importlib.util.find_spec("torch").submodule_search_locations[0]
        self.site = pathlib.Path(torch).parent
        inherited = {key: value for key, value in os.environ.items()
                     if not key.startswith(("DSOCR_", "NVTX_", "CUDA_INJECTION", "LD_PRELOAD"))}
        (scratch / "run").mkdir(mode=0o700)
        self.env = inherited | {"XDG_RUNTIME_DIR": str(scratch / "run"), "XDG_STATE_HOME": str(scratch / "state"),
                                "DSOCR_ARTIFACTS_DIR": str(scratch / "artifacts"), "DSOCR_LIBTORCH": str(self.site),
                                "NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1"}

    def need_gpu(self):
        if not self.has_gpu:
            raise NotRun("no GPU")

    @property
    def launcher(self):
        if self._launcher is None:
            raise NotRun("no programs")
        return self._launcher

    @launcher.setter
    def launcher(self, launcher):
        self._launcher = launcher

    def seconds_left(self):
        return self.deadline - time.monotonic()

    def run(self, command, *, stdin=b"", env=None):
        """The completed process, whatever its code. A process that outlives the step is killed with all that it started. Its standard
        input stays open, for dsocr-runner takes the end of it for a cancellation."""
        input_end, our_end = os.pipe()
        try:
            os.write(our_end, stdin)
            process = subprocess.Popen([str(word) for word in command], stdin=input_end, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, env=self.env | (env or {}), cwd=self.scratch, start_new_session=True)
            try:
                stdout, stderr = process.communicate(timeout=max(self.seconds_left(), 0.1))
            except subprocess.TimeoutExpired:
                self.end(process)
                raise StepFailed(f"{pathlib.Path(str(command[0])).name} did not end in time") from None
        finally:
            os.close(input_end)
            os.close(our_end)
        return subprocess.CompletedProcess(command, process.returncode, stdout, stderr.decode(errors="replace"))

    @staticmethod
    def end(process):
        """An interrupted dsocrctl cancels its run; a killed one leaves it going on in the daemon."""
        for number, patience_s in ((signal.SIGINT, 4), (signal.SIGKILL, 4)):
            os.killpg(process.pid, number)
            try:
                process.communicate(timeout=patience_s)
                return
            except subprocess.TimeoutExpired:
                pass

    def output(self, command, **options):
        """What the command prints. A code other than 0 fails the step, with the command's last line; the rest is kept."""
        result = self.run(command, **options)
        if result.returncode != 0:
            text = result.stderr.strip() or result.stdout.decode(errors="replace").strip()
            self.keep(f"failed-{len(self.recordings)}.log", text)
            words = text.splitlines() or [f"exited with {result.returncode}"]
            raise StepFailed(f"{pathlib.Path(str(command[0])).name}: {words[-1][:300]}")
        return result.stdout

    def torch_job(self, *arguments):
        """The command of torch_job.py on the device under test."""
        return [sys.executable, str(JOB), "--device", self.device, *map(str, arguments)]

    def launch(self, name, command, **options):
        """Runs the command under the agent and keeps its report among the recordings."""
        recording = self.launcher.launch(self, name, command, **options)
        self.keep(f"{name}.json", json.dumps(recording.report, indent=1))
        return recording

    def keep(self, name, text):
        path = self.scratch / "keep" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        self.recordings.append(path)

    def operations(self, recording, range_name):
        """name -> [count, sum of ns], of the operations that the range launched."""
        sums = json.loads(self.output([self.launcher.trace_operations, recording.trace, range_name]))
        return sums["gpu" if self.has_gpu else "cpu"]

    def stop(self):
        try:
            self.launcher.stop(self)
        except (NotRun, StepFailed):
            pass  # nothing to stop, or nothing that answers: the scratch folder goes in any case


class Daemon:
    """dsocrctl, which starts a dsocrd of its own in the scratch folder."""

    def __init__(self, folder):
        self.ctl = folder / "bin/dsocrctl"
        self.runner = folder / "bin/dsocr-runner"
        self.agent = folder / "bin/libdsocr_agent.so"
        in_bundle = folder / "libexec/trace_operations"
        self.trace_operations = in_bundle if in_bundle.exists() else folder / "tests/trace_operations"

    def launch(self, check, name, command):
        out = check.scratch / f"{name}.report.json"
        stdout = check.output([self.ctl, "launch", "--run-id", name, "--out", out, "--", *command])
        trace = check.scratch / "artifacts" / name / "trace/records.dsocr"
        return Recording(json.loads(out.read_text()), trace, stdout.decode())

    def stop(self, check):
        check.deadline = time.monotonic() + 5
        status = check.run([self.ctl, "--no-start", "status", "-o", "json"])
        if status.returncode == 0:
            os.kill(json.loads(status.stdout)["pid"], signal.SIGTERM)


class Standalone:
    """attribute_job: one process at a time, nothing predicted."""

    def __init__(self, folder):
        self.attribute_job = folder / "tests/attribute_job"
        self.trace_operations = folder / "tests/trace_operations"
        self.agent = folder / "bin/libdsocr_agent.so"
        runner = folder / "bin/dsocr-runner"
        self.runner = runner if runner.exists() else None

    def launch(self, check, name, command, *, request=None, warmup=0, **options):
        out, trace = check.scratch / f"{name}.report.json", check.scratch / f"{name}.dsocr"
        whole = ["--request", request, "--skip", warmup] if request else []
        stdout = check.output([self.attribute_job, "--agent", self.agent, "--out", out, "--trace", trace, *whole, "--", *command],
                              **options)
        return Recording(json.loads(out.read_text()), trace, stdout.decode(errors="replace"))

    def stop(self, check):
        pass


def launcher_in(check, folder):
    """How jobs are started with the programs of `folder`; None: they do not run here."""
    dsocrd = folder / "bin/dsocrd"
    if dsocrd.exists() and check.run([dsocrd, "--version"]).returncode == 0:
        return Daemon(folder)
    return Standalone(folder) if (folder / "tests/attribute_job").exists() else None


def build_from_source(check):
    """Builds what needs neither gRPC nor Protobuf: the agent, the parts of this script, dsocr-runner where its libraries are."""
    build = check.root / "build-gpu"
    cuda = pathlib.Path(os.environ.get("CUDA_HOME", "/usr/local/cuda"))
    includes = [folder for folder in (check.site / "nvidia/cu13/include", cuda / "include", cuda / "extras/CUPTI/include")
                if folder.is_dir()]
    if (cuda / "include/nvtx3").is_dir() and any((folder / "cupti.h").exists() for folder in includes[-2:]):
        includes = [folder for folder in includes if folder.is_relative_to(cuda)]  # of one version, and whole
    check.output(["cmake", "-S", check.root, "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DDSOCR_BUILD_TESTS=OFF",
                  "-DCMAKE_DISABLE_FIND_PACKAGE_GrpcStack=ON", f"-DDSOCR_TORCH_SITE={check.site}",
                  f"-DLibTorch_CUDA_INCLUDE_DIR={';'.join(map(str, includes))}"])
    check.output(["cmake", "--build", build, "--target", "attribute_job", "trace_operations", "dsocr_agent"])
    try:
        check.run(["cmake", "--build", build, "--target", "dsocr-runner"])  # no such target where its libraries are not
    except StepFailed:
        pass  # no time: the steps that need it say so
    return launcher_in(check, build)
