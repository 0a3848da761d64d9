#!/usr/bin/env python3
"""Records consecutive repeats of validate's built-in case on this CPU: the noise that its regression test is tested with.

usage: tools/data/record_noise.py [--dsocrctl PATH] [--repeats 200] > tests/golden/validate/small_cpu_repeats.csv

A row a module: its id, operator category, and its own time in each repeat, in nanoseconds. No repeat is left out. Fifty are one run of the
model, in a process of its own, as the two sides of a comparison are.
"""

import argparse
import csv
import json
import pathlib
import subprocess
import sys
import tempfile

# As BuiltInSuite() of daemon/validate/suite.cc, but for the number of repeats.
CASE = {"name": "small", "model": "small", "workload": "dsocr-standard-v1", "device": "cpu", "dtype": "fp32", "best_of": 4, "warmup": 3,
        "overrides": {"base_size": 256, "image_size": 160, "crop_mode": 1, "page_width": 500, "page_height": 380, "seq_len": 89,
                      "max_new_tokens": 16}}

REPEATS_OF_A_RUN = 50  # of four requests each: as many as a report keeps


def record(dsocrctl, repeats):
    """The repeats of one run, by module."""
    with tempfile.TemporaryDirectory() as directory:
        suite = pathlib.Path(directory) / "noise.json"
        suite.write_text(json.dumps({"name": "noise", "cases": [CASE | {"repeats": repeats}]}))
        result = subprocess.run([dsocrctl, "validate", "--suite", suite, "--max-error", "1000000", "-o", "json"], check=True, stdout=subprocess.PIPE)
    case = json.loads(result.stdout)["cases"][0]
    if case["error"]:
        sys.exit(f"record_noise.py: {case['error']}")
    return {module["module_id"]: module for module in case["repeats"]["modules"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dsocrctl", default="build/bin/dsocrctl")
    parser.add_argument("--repeats", type=int, default=200)
    options = parser.parse_args()
    runs = [record(options.dsocrctl, min(REPEATS_OF_A_RUN, options.repeats - begin)) for begin in range(0, options.repeats, REPEATS_OF_A_RUN)]
    rows = csv.writer(sys.stdout, lineterminator="\n")
    for module_id, module in runs[0].items():
        rows.writerow([module_id, module["operator_category"], *(time_ns for run in runs for time_ns in run[module_id]["self_time_ns"])])


if __name__ == "__main__":
    main()
