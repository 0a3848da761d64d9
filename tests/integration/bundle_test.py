"""The folder of `make bundle`: small, whole, and able to run where nothing of ours is installed."""

import json
import os
import pathlib
import subprocess
import unittest

from cli import BIN, SOURCE, TINY, CliTest

LIBTORCH = os.environ["DSOCR_TORCH_SITE"]
LIMIT_BYTES = 60 << 20
GLIBC = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libresolv.so.2", "libutil.so.1",
         "libnsl.so.1", "libanl.so.1"}


def loaded_libraries(program, env):
    """soname -> path, as the loader would have it; None: not found."""
    result = subprocess.run(["ldd", program], env=env, capture_output=True, text=True, check=True)
    found = {}
    for line in result.stdout.splitlines():
        soname, arrow, where = line.partition(" => ")
        if arrow:
            found[soname.strip()] = None if where == "not found" else where.split()[0]
    return found


class Bundle(CliTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = cls.dir / "moved" / "bundle"
        made = cls.dir / "made"
        subprocess.run([SOURCE / "tools/packaging/bundle.sh", BIN.parent, made], check=True, stdout=subprocess.DEVNULL)
        cls.folder.parent.mkdir()
        made.rename(cls.folder)
        cls.env = cls.env | {"HOME": str(cls.dir / "home"), "DSOCR_LIBTORCH": LIBTORCH}
        (cls.dir / "home").mkdir()

    @classmethod
    def command(cls, program, *args):
        return [str(cls.folder / "bin" / program), *map(str, args)]

    def binaries(self):
        return [path for path in self.folder.rglob("*") if path.is_file() and path.read_bytes()[:4] == b"\x7fELF"]

    def test_it_is_below_60_mib(self):
        self.assertLess(sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file()), LIMIT_BYTES)

    def test_every_library_but_glibc_and_libtorch_is_in_it(self):
        env = {"PATH": os.environ["PATH"]}
        self.assertGreater(len(self.binaries()), 20)
        outside = []
        for binary in self.binaries():
            for soname, path in loaded_libraries(binary, env).items():
                is_ours = path is not None and pathlib.Path(path).resolve().is_relative_to(self.folder.resolve())
                is_libtorch = path is None and soname in ("libtorch_cpu.so", "libc10.so")
                if not is_ours and not is_libtorch and soname not in GLIBC:
                    outside.append((str(binary.relative_to(self.folder)), soname, path))
        self.assertEqual(outside, [])

    def test_the_agent_needs_libc_alone(self):
        text = subprocess.run(["readelf", "-d", self.folder / "bin/libdsocr_agent.so"], capture_output=True, text=True, check=True).stdout
        needed = {line.split("[")[1].rstrip("]") for line in text.splitlines() if "(NEEDED)" in line}
        self.assertLessEqual(needed, GLIBC | {"ld-linux-x86-64.so.2"})
        self.assertNotIn("RUNPATH", text)

    def test_its_programs_are_of_one_version(self):
        self.assertEqual(self.ctl("version").stdout.split()[1], self.program("dsocrd", "--version").stdout.split()[1])

    def test_it_predicts(self):
        report = json.loads(self.ctl("run", "--analytic-only", "--device", "h200-sxm", "-o", "json").stdout)
        self.assertGreater(report["predicted_total_time_ms"], 0)

    def test_it_runs_and_measures_with_the_libtorch_that_it_is_given(self):
        report = json.loads(self.ctl("run", *TINY, "-o", "json").stdout)
        self.assertGreaterEqual(report["attribution"]["attributed_share"], 0.999)

    def test_libtorch_may_come_by_ld_library_path(self):
        env = {"DSOCR_LIBTORCH": "", "LD_LIBRARY_PATH": f"{LIBTORCH}/torch/lib"}
        self.assertIn("dsocrd", self.runner("--help", env=env).stdout)

    def test_without_libtorch_it_says_what_is_missing(self):
        result = self.runner("--help", check=False, env={"DSOCR_LIBTORCH": ""})
        self.assert_refused(1, "libtorch_cpu.so", result)
        self.assertIn("DSOCR_LIBTORCH", result.stderr)


if __name__ == "__main__":
    unittest.main()
