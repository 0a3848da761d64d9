"""The programs as a user has them: real dsocrd, dsocrctl and dsocr-runner, in a directory of their own.

Everything is hermetic: runtime, state and artifacts live in a temporary directory, and the daemon that dsocrctl starts there is
stopped with it.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

SOURCE = pathlib.Path(os.environ["DSOCR_SOURCE_DIR"])
BIN = pathlib.Path(os.environ["DSOCR_BIN_DIR"])
FIXTURES = SOURCE / "tests/golden/fixtures"

# A model small enough for a test: the sizes of the fixture, and a workload that it can run.
TINY = ["--model", str(FIXTURES / "tiny_a"), "--base-size", "256", "--image-size", "160", "--crop-mode", "1", "--page", "500x380",
        "--seq-len", "89", "--max-new-tokens", "16", "--dtype", "fp32"]


class CliTest(unittest.TestCase):
    """One directory and one daemon for each test class."""

    @classmethod
    def setUpClass(cls):
        cls.dir = pathlib.Path(tempfile.mkdtemp(prefix="dsocr-"))  # short: socket paths end at 107 bytes
        (cls.dir / "run").mkdir(mode=0o700)
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("DSOCR_", "NVTX_", "LD_PRELOAD"))}
        cls.env = inherited | {"XDG_RUNTIME_DIR": str(cls.dir / "run"), "XDG_STATE_HOME": str(cls.dir / "state"),
                               "HOME": str(cls.dir), "NO_COLOR": "1"}

    @classmethod
    def tearDownClass(cls):
        pid = cls.daemon_pid()
        if pid:
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda: not pathlib.Path(f"/proc/{pid}").exists(), "the daemon to stop")
        shutil.rmtree(cls.dir)

    @classmethod
    def daemon_pid(cls):
        result = cls.ctl("--no-start", "status", "-o", "json", check=False)
        return json.loads(result.stdout)["pid"] if result.returncode == 0 else None

    @classmethod
    def command(cls, program, *args):
        return [str(BIN / program), *map(str, args)]

    @classmethod
    def start(cls, program, *args, **kwargs):
        return subprocess.Popen(cls.command(program, *args), cwd=cls.dir, env=cls.env, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs)

    @classmethod
    def program(cls, program, *args, check=True, timeout=120, env=None):
        result = subprocess.run(cls.command(program, *args), cwd=cls.dir, env=cls.env | (env or {}), stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, timeout=timeout)
        if check and result.returncode != 0:
            raise AssertionError(f"{program} {' '.join(map(str, args))} exited with {result.returncode}:\n{result.stderr}")
        return result

    @classmethod
    def ctl(cls, *args, **kwargs):
        return cls.program("dsocrctl", *args, **kwargs)

    @classmethod
    def runner(cls, *args, **kwargs):
        return cls.program("dsocr-runner", *args, **kwargs)

    def assert_refused(self, code, fragment, result):
        """The contract of a failure: its exit code, nothing on stdout, and one line that names what was wrong."""
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertEqual(result.stdout, "")
        errors = [line for line in result.stderr.splitlines() if ": error: " in line]
        self.assertEqual(len(errors), 1, result.stderr)
        self.assertIn(fragment, errors[0])
        self.assertNotIn("Traceback", result.stderr)


def wait_until(condition, what, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.02)


def nanoseconds(ms):
    """Measured milliseconds are integers of nanoseconds, printed with up to six decimals."""
    return round(ms * 1e6)
