"""Bad input: each is one line, the right exit code, and nothing left half-written."""

import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import time
import unittest
import zlib

from cli import BIN, FIXTURES, TINY, CliTest, wait_until

ANALYTIC = ["--analytic-only"]


class Refusals(CliTest):
    def refused(self, code, fragment, *args):
        artifacts = self.dir / "tmp"
        before = sorted(artifacts.rglob("*")) if artifacts.exists() else []
        self.assert_refused(code, fragment, self.ctl(*args, check=False))
        after = sorted(artifacts.rglob("*")) if artifacts.exists() else []
        self.assertEqual(before, after)

    def test_names_that_do_not_exist(self):
        self.refused(3, "dsocr-tinny-v1", "run", *ANALYTIC, "--workload-profile-id", "dsocr-tinny-v1")
        self.refused(3, "no-such/model", "run", *ANALYTIC, "--model-id", "no-such/model")
        self.refused(3, "deepseek-ocr-v9", "run", *ANALYTIC, "--model-variant", "deepseek-ocr-v9")
        self.refused(3, "no-such-device", "run", *ANALYTIC, "--device", "no-such-device")
        self.refused(3, "r-none", "summary", "r-none")
        self.refused(2, "summray", "summray")
        self.refused(2, "--sequence", "run", "--sequence", "5")

    def test_sizes_that_cannot_be(self):
        self.refused(2, "crop-mode", "run", *ANALYTIC, "--crop-mode", "2")
        self.refused(2, "image_size", "run", *ANALYTIC, "--crop-mode", "1", "--image-size", "512")
        for size in ("0", "-16", "1000"):
            self.refused(2, "base", "run", *ANALYTIC, "--base-size", size)
        self.refused(2, "seq_len", "run", *ANALYTIC, "--seq-len", "200")
        self.refused(2, "prompt", "run", "--prompt", "x")
        self.refused(2, "prompt", "run", *ANALYTIC, "--prompt", "x")

    def test_what_comes_later_says_so(self):
        for command in ("import",):
            self.refused(2, f"{command}: not in this release", command)

    def test_budgets_that_cannot_be(self):
        for budget in ("0", "0%", "51%", "0.51", "-1%", "1", "a lot", "1%%", "nan", "%"):
            self.refused(2, f"--overhead-budget '{budget}': not a share", "run", *TINY, f"--overhead-budget={budget}")
            self.refused(2, f"--overhead-budget '{budget}': not a share", "launch", f"--overhead-budget={budget}", "--", "true")

    def test_a_gpu_that_is_not_there(self):
        if pathlib.Path("/proc/driver/nvidia/version").exists():
            self.assertEqual(self.ctl("run", *ANALYTIC, "--device", "cuda:0", check=False).returncode, 0)
        else:
            self.refused(3, "cuda:0", "run", *TINY, "--device", "cuda:0")

    def test_cuda_graphs_on_a_cpu(self):
        self.refused(2, "cuda_graphs: device 'cpu' has none; choose a GPU", "run", *TINY, "--device", "cpu", "--cuda-graphs")

    def test_an_artifacts_directory_without_permission(self):
        locked = self.dir / "file-not-directory"
        locked.write_text("")
        result = self.ctl("run", *ANALYTIC, "--artifacts-dir", locked / "below", check=False)
        self.assertIn(result.returncode, (1, 2, 6))
        self.assertIn(str(locked), result.stderr)


class Weights(CliTest):
    """A model directory that is not what it says."""

    def model(self, name):
        directory = self.dir / name
        shutil.copytree(FIXTURES / "tiny_a", directory)
        for file in directory.iterdir():
            file.chmod(0o644)
        return directory

    def refused(self, directory, *fragments):
        args = list(TINY)
        args[1] = str(directory)
        result = self.ctl("run", *args, "--calibration", "none", check=False)
        for fragment in fragments:
            self.assert_refused(2, fragment, result)

    def rewrite_header(self, directory, change):
        path = directory / "model.safetensors"
        data = path.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8:8 + length])
        change(header)
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length:])

    def test_truncated(self):
        directory = self.model("truncated")
        path = directory / "model.safetensors"
        os.truncate(path, path.stat().st_size // 2)
        self.refused(directory, "model.safetensors")

    def test_header_of_two_gigabytes(self):
        directory = self.model("header")
        path = directory / "model.safetensors"
        path.write_bytes(struct.pack("<Q", 2 << 30) + path.read_bytes()[8:])
        self.refused(directory, "model.safetensors")

    def test_wrong_shape(self):
        directory = self.model("shape")

        def change(header):
            header["lm_head.weight"]["shape"].reverse()

        self.rewrite_header(directory, change)
        self.refused(directory, "lm_head.weight")

    def test_overlapping_and_out_of_range_offsets(self):
        directory = self.model("overlap")

        def overlap(header):
            names = sorted((name for name in header if name != "__metadata__"), key=lambda name: header[name]["data_offsets"][0])
            size = header[names[1]]["data_offsets"][1] - header[names[1]]["data_offsets"][0]
            start = header[names[0]]["data_offsets"][0]
            header[names[1]]["data_offsets"] = [start, start + size]

        self.rewrite_header(directory, overlap)
        self.refused(directory, "model.safetensors")

        directory = self.model("range")

        def out_of_range(header):
            begin, end = header["lm_head.weight"]["data_offsets"]
            header["lm_head.weight"]["data_offsets"] = [begin + (1 << 40), end + (1 << 40)]

        self.rewrite_header(directory, out_of_range)
        self.refused(directory, "lm_head.weight")

    def test_an_index_that_names_a_missing_shard(self):
        directory = self.model("shard")
        index = {"weight_map": {"lm_head.weight": "model-00002-of-00002.safetensors"}}
        (directory / "model.safetensors.index.json").write_text(json.dumps(index))
        (directory / "model.safetensors").rename(directory / "model-00001-of-00002.safetensors")
        self.refused(directory, "model-00002-of-00002.safetensors")


class Images(CliTest):
    def refused(self, path, fragment):
        args = [arg for arg in TINY if arg not in ("--page", "500x380")]
        self.assert_refused(2, fragment, self.ctl("run", *args, "--image", path, "--calibration", "none", check=False))

    def test_corrupt(self):
        path = self.dir / "corrupt.png"
        data = bytearray((FIXTURES / "tiny_a/image.png").read_bytes())
        data[200:1200] = bytes(1000)
        path.write_bytes(data)
        self.refused(path, "corrupt.png")

    def png(self, name, width, height):
        """A grey PNG of any size, small on disk: one row of zeros after the other."""
        def chunk(kind, data):
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        path = self.dir / name
        pixels = zlib.compress(bytes((width + 1) * height), 9)
        header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))
        return path

    def test_one_pixel_and_nine_hundred_million(self):
        self.refused(self.png("dot.png", 1, 1), "1x1")
        self.refused(self.png("huge.png", 30000, 30000), "30000x30000")

    def test_no_image_at_all(self):
        path = self.dir / "text.png"
        path.write_text("not an image")
        self.refused(path, "text.png")
        self.refused(self.dir / "absent.png", "absent.png")


class KilledRunner(CliTest):
    def runners(self):
        daemon = self.daemon_pid()
        children = pathlib.Path(f"/proc/{daemon}/task").glob("*/children") if daemon else []
        return [int(pid) for path in children for pid in path.read_text().split()
                if "serve" in pathlib.Path(f"/proc/{pid}/cmdline").read_text()]

    def test_the_run_fails_with_the_signal_and_the_next_one_works(self):
        self.ctl("run", *TINY, "--calibration", "none")
        process = self.start("dsocrctl", "run", *TINY, "--calibration", "none", "--repeats", "500")
        wait_until(self.runners, "dsocr-runner to start")
        time.sleep(0.5)  # into the run
        for pid in self.runners():
            os.kill(pid, signal.SIGKILL)
        _, errors = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 1, errors)
        self.assertIn("SIGKILL", errors)
        self.assertEqual(self.ctl("run", *TINY, "--calibration", "none").returncode, 0)


class ADaemonThatIsSlowToStart(CliTest):
    """Its socket is there long before it serves, as on a machine that is busy: for longer than an attempt to connect may take."""

    PROGRAM = """#!/usr/bin/env python3
import os, signal, subprocess, sys, time
daemon = subprocess.Popen([{program!r}, *sys.argv[1:]])
socket = sys.argv[sys.argv.index("--listen") + 1].removeprefix("unix:")
while not os.path.exists(socket):
    pass
daemon.send_signal(signal.SIGSTOP)
time.sleep(5)
daemon.send_signal(signal.SIGCONT)
"""

    def test_the_command_that_started_it_waits(self):
        shutil.copy(BIN / "dsocrctl", self.dir)
        program = self.dir / "dsocrd"  # dsocrctl starts the one beside it
        program.write_text(self.PROGRAM.format(program=str(BIN / "dsocrd")))
        program.chmod(0o700)
        result = subprocess.run([self.dir / "dsocrctl", "list"], cwd=self.dir, env=self.env, capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIsNotNone(self.daemon_pid())


if __name__ == "__main__":
    unittest.main()
