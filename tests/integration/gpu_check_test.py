"""tools/dev/gpu_check.sh itself, on a CPU: the same code with small sizes. What only a GPU can do says that it was not run, and its
parts are held to the simulated one."""

import ctypes
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

from cli import BIN, SOURCE

sys.path.append(str(SOURCE / "tools/dev/gpu_check"))
from activity_buffers import ActivityBuffers  # noqa: E402

PYTHON = os.environ["DSOCR_TEST_PYTHON"]
TESTS = BIN.parent / "tests"
NEED_A_GPU = {"gpu_tests", "buffers"}


class GpuCheckOnACpu(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="dsocr-"))
        self.addCleanup(shutil.rmtree, self.dir)

    def check(self, programs, *flags):
        out = self.dir / "out"
        command = [SOURCE / "tools/dev/gpu_check.sh", "--python", PYTHON, "--device", "cpu", "--programs", programs, "--out", out,
                   "--budget", "1200", *flags]  # beside other tests everything takes longer
        result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        results = json.loads((out / "results.json").read_text())
        return results, {step["name"]: step for step in results["steps"]}, out

    def test_every_step_that_a_cpu_can_do_passes(self):
        results, steps, out = self.check(BIN.parent)
        self.assertEqual({name for name, step in steps.items() if step["passed"] is not True}, NEED_A_GPU)
        self.assertTrue(all(steps[name]["why"] == "not run: no GPU" for name in NEED_A_GPU))
        self.assertEqual(results["gpu"], None)
        self.assertEqual(steps["torch_profiler"]["figures"]["operations"], steps["torch_profiler"]["figures"]["operations_torch"])
        self.assertIn("prefill", steps["main_job"]["figures"]["main-standard-eager"]["stage_ratios"])
        archives = list(out.glob("*.tar.gz"))
        self.assertTrue(0 < len(archives) <= 6)
        self.assertTrue(all(archive.stat().st_size < 16 << 20 for archive in archives))
        self.assertEqual(sorted(path.name for path in out.iterdir()), sorted(["results.json", *(path.name for path in archives)]))

    def test_it_works_without_dsocrd(self):
        for name in ("bin/libdsocr_agent.so", "bin/dsocr-runner", "tests/attribute_job", "tests/trace_operations"):
            path = self.dir / "programs" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(BIN.parent / name)
        _, steps, _ = self.check(self.dir / "programs", "--only", "main_job,torch_profiler")
        self.assertEqual(steps["programs"]["figures"]["kind"], "attribute_job")
        self.assertEqual(steps["main_job"]["figures"]["main-standard-eager"]["attributed_share"], 1.0)

    def test_what_the_budget_has_no_time_for_is_not_run_and_said(self):
        _, steps, out = self.check(BIN.parent, "--budget", "1")
        self.assertEqual(steps["soak"]["passed"], None)
        self.assertRegex(steps["soak"]["why"], "^not run: .* left$")
        self.assertTrue((out / "results.json").exists())


class PartsOnASimulatedGpu(unittest.TestCase):
    def test_a_job_is_followed_and_its_operations_are_read_by_name(self):
        with tempfile.TemporaryDirectory() as folder:
            script, report, trace = (pathlib.Path(folder) / name for name in ("script", "report.json", "trace.dsocr"))
            script.write_text("""
                cuinit
                range warm-up {
                  launch gemm 10us
                }
                repeat 3 {
                  range request {
                    copy htod 4096 500ns
                    range vision {
                      launch gemm 10us
                    }
                    sync
                  }
                }
            """)
            subprocess.run([TESTS / "attribute_job", "--agent", BIN / "libdsocr_agent.so", "--out", report, "--trace", trace, "--",
                            TESTS / "fake/gpu_job", script], check=True, stdout=subprocess.DEVNULL)
            attribution = json.loads(report.read_text())["attribution"]
            self.assertEqual((attribution["operations"], attribution["operations_unattributed"]), (7, 0))
            self.assertEqual(attribution["ledger"], {"launched": 7, "recorded": 7, "dropped": 0, "invalid": 0, "pending": 0})
            read = subprocess.run([TESTS / "trace_operations", trace, "request"], check=True, capture_output=True, text=True)
            self.assertEqual(json.loads(read.stdout), {"gpu": {"gemm": [3, 30000], "memcpy HtoD": [3, 1500]}, "cpu": {}})

    def test_activity_buffers_are_kept_with_the_names_of_their_kernels(self):
        gpu = ctypes.CDLL(str(TESTS / "fake/libcupti.so.13"))
        gpu.fake_gpu_stream.restype = gpu.fake_gpu_function.restype = ctypes.c_void_p
        stream = ctypes.c_void_p(gpu.fake_gpu_stream(1, 7))
        buffers = ActivityBuffers(str(TESTS / "fake/libcupti.so.13"))
        buffers.start()
        for name in (b"gemm", b"add"):
            gpu.fake_gpu_launch(ctypes.c_void_p(gpu.fake_gpu_function(name)), ctypes.c_int64(1000), stream, 0)
        gpu.fake_gpu_synchronize(stream)
        buffers.stop()
        kernels = [record for buffer in buffers.index for record in buffer["records"] if record["kind"] == ActivityBuffers.KERNEL]
        self.assertEqual([record["name"] for record in kernels], ["gemm", "add"])
        self.assertEqual(sum(buffer["bytes"] for buffer in buffers.index), len(buffers.bytes))


if __name__ == "__main__":
    unittest.main()
