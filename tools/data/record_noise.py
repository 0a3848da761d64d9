#!/usr/bin/env python3
"""Records consecutive repeats of the nightly suite on this machine: the noise that the test for a regression is tested with.

usage: tools/data/record_noise.py [--bin DIR] [--repeats 200] > tests/golden/validate/small_cpu_repeats.csv

A row a module: its id, operator category, and its own time in each repeat, in nanoseconds. No repeat is left out. The daemon is one of its own,
with the environment of the nightly examples. 200 repeats take about twenty minutes; a nice of -5 is set where that is allowed.
"""

import argparse
import contextlib
import csv
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

SUITE = pathlib.Path(__file__).parents[1] / "packaging/nightly/suite.yaml"


@contextlib.contextmanager
def daemon(bin_dir, directory):
    """A dsocrd that is serving; its address."""
    address = f"unix:{directory}/dsocrd.sock"
    environment = os.environ | {"XDG_STATE_HOME": directory, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([bin_dir / "dsocrd", "--listen", address], env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            with contextlib.suppress(PermissionError):
                os.setpriority(os.PRIO_PROCESS, process.pid, -5)
            while subprocess.run([bin_dir / "dsocrctl", "--server", address, "status"], capture_output=True).returncode != 0:
                if process.poll() is not None:
                    sys.exit("record_noise.py: dsocrd has ended")
            yield address
        finally:
            process.terminate()


def record(bin_dir, repeats):
    """The modules of one validation of the suite's case."""
    with tempfile.TemporaryDirectory() as directory, daemon(bin_dir, directory) as address:
        suite = pathlib.Path(directory) / "suite.yaml"
        suite.write_text(re.sub(r"repeats: \d+", f"repeats: {repeats}", SUITE.read_text()))
        result = subprocess.run([bin_dir / "dsocrctl", "--server", address, "validate", "--suite", suite, "--max-error", "1000000", "-o", "json"],
                                check=True, stdout=subprocess.PIPE, cwd=directory)
    case = json.loads(result.stdout)["cases"][0]
    if case["error"]:
        sys.exit(f"record_noise.py: {case['error']}")
    return case["repeats"]["modules"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/bin", type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--repeats", type=int, default=200)
    options = parser.parse_args()
    rows = csv.writer(sys.stdout, lineterminator="\n")
    for module in record(options.bin, options.repeats):
        rows.writerow([module["module_id"], module["operator_category"], *module["self_time_ns"]])


if __name__ == "__main__":
    main()
