#!/usr/bin/env python3
"""How far off predictions are on this CPU for a view whose operators no calibration has seen.

usage: build/venv/bin/python tests/benchmark/view_held_out.py [--bin build/bin] [--workloads dsocr-small-v1,dsocr-base-v1] [--repeats 5] [--keep DIR]

The device is measured once. For each workload a copy of the calibration is made without any point that does the work of an operator of its
vision, projector or prefill, and the request is predicted from that copy and then run, each time in a process of its own. A matrix product and a
copy are called for some seconds before and after each run: the run counts if the quickest calls of both are within 3 % of what they were around the
calibration, before and after it. A run waits for that, but not for ever. Time is the median of the runs that count, and that of all is beside it;
modules that the copy still knows exactly (matrix-vector products of decode, whatever the view) are not scored.
"""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import torch

STAGES = {"sam": "vision/sam", "clip": "vision/clip", "projector": "projector", "prefill": "prefill", "decode": "decode"}
QUIET = 0.03
# Probes for which a run waits at most until the machine is as it was.
PATIENCE = 4
# Probes before the calibration, and again after it, whose median all others are compared with.
REFERENCES = 3
# A hypervisor takes the memory of a process that has ended back, a piece every two seconds, and the machine stands still meanwhile: a product takes
# 10 to 25 % longer on average for 15 s after a run.
SETTLE_S = 20


class Probe:
    """A matrix product that arithmetic slows down, and a copy that traffic does; the quickest of many calls, as the others tell of the moment."""

    def __init__(self):
        self.a, self.b = torch.full((768, 768), 0.5), torch.full((768, 768), 0.5)
        self.source = torch.ones(32 << 20, dtype=torch.uint8)
        self.target = torch.zeros_like(self.source)

    def __call__(self, seconds):
        calls = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            start = time.perf_counter_ns()
            torch.mm(self.a, self.b)
            middle = time.perf_counter_ns()
            self.target.copy_(self.source)
            calls.append((middle - start, time.perf_counter_ns() - middle))
        return tuple(map(min, zip(*calls)))


@contextlib.contextmanager
def daemon(options, directory):
    """A dsocrd that is serving; a function that runs dsocrctl against it and returns its JSON."""
    address = f"unix:{directory}/dsocrd.sock"
    with subprocess.Popen([options.bin / "dsocrd", "--listen", address], env=os.environ | {"XDG_STATE_HOME": directory}, stderr=subprocess.DEVNULL) as process:
        def call(*arguments):
            command = [options.bin / "dsocrctl", "--server", address, *arguments, "-q", "-o", "json"]
            return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=directory).stdout)

        try:
            while subprocess.run([options.bin / "dsocrctl", "--server", address, "status"], capture_output=True).returncode != 0:
                if process.poll() is not None:
                    sys.exit("view_held_out.py: dsocrd has ended")
                time.sleep(0.1)
            yield call
        finally:
            process.terminate()


def by_id(rows):
    return {row["module_id"]: row for row in rows}


def work_of(report, is_decode):
    """(category, FLOPs, bytes) of a call of each leaf of decode, or of all others."""
    metrics = by_id(report["module_metrics"])
    for node in report["modules"]:
        if node["children"] or (node["stage"] == "decode") != is_decode:
            continue
        calls = metrics[node["module_id"]]["calls"]
        for op in metrics[node["module_id"]]["operator_breakdown"]:
            if calls > 0:
                yield op["category_id"], round(op["flops_tflops"] * 1e12 / calls), round(op["io_tb"] * 1e12 / 8 / calls)


def without(calibration, report):
    """A copy without points of the work that a view or a prompt decides; how many those are. What decode does as well, such as lm_head, is none."""
    seen = set(work_of(report, is_decode=False)) - set(work_of(report, is_decode=True))
    kept = [point for point in calibration["points"] if (point["category"], point["flops"], point["bytes"]) not in seen]
    return calibration | {"points": kept}, len(calibration["points"]) - len(kept)


def leaf_times(report):
    """By stage: milliseconds predicted and measured of the leaves that are not known exactly, and of all."""
    metrics, measured = by_id(report["module_metrics"]), by_id(report["module_measurements"])
    times = {}
    for stage, prefix in STAGES.items():
        leaves = [node["module_id"] for node in report["modules"] if not node["children"] and (node["module_id"] + "/").startswith(prefix + "/")]
        new = [leaf for leaf in leaves if metrics[leaf]["prediction_source"] != "exact"]
        for kind, of in (("new", new), ("all", leaves)):
            times[stage, kind] = (sum(metrics[leaf]["total_time_ms"] for leaf in of),
                                  sum(measured[leaf]["device_time_ms"] for leaf in of if leaf in measured))
    for kind in ("new", "all"):
        times["page", kind] = tuple(map(sum, zip(*(times[stage, kind] for stage in STAGES))))
    return times


def is_quiet(probe, reference):
    return all(abs(now / then - 1) <= QUIET for now, then in zip(probe, reference))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/bin", type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--workloads", default="dsocr-small-v1,dsocr-base-v1", type=lambda names: names.split(","))
    parser.add_argument("--dtype", default="bf16")
    parser.add_argument("--repeats", default=5, type=int)
    parser.add_argument("--probe", default=20.0, type=float, help="seconds of a probe")
    parser.add_argument("--keep", type=pathlib.Path, help="directory for the calibration and the reports")
    parser.add_argument("--attempts", default=30, type=int, help="runs of a workload at most, those that do not count included")
    parser.add_argument("--budget", default="180s")
    options = parser.parse_args()

    probe = Probe()
    with tempfile.TemporaryDirectory() as directory, daemon(options, directory) as dsocrctl:
        around = [probe(options.probe) for _ in range(REFERENCES)]
        calibration = json.loads(subprocess.run([options.bin / "dsocr-runner", "calibrate", "--dtype", options.dtype, "--budget", options.budget],
                                                check=True, stdout=subprocess.PIPE).stdout)
        time.sleep(SETTLE_S)
        around += [probe(options.probe) for _ in range(REFERENCES)]
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
            (options.keep / "calibration.json").write_text(json.dumps(calibration))
        reference = tuple(map(statistics.median, zip(*around)))
        print(f"calibration: {len(calibration['points'])} points, {100 * calibration['discarded_share']:.0f} % of samples discarded; "
              f"probe {reference[0] / 1e6:.2f} ms product, {reference[1] / 1e6:.2f} ms copy", flush=True)

        errors = collections.defaultdict(list)
        after = around[-1]
        for workload in options.workloads:
            request = ["run", "--workload-profile-id", workload, "--dtype", options.dtype]
            held_out, removed = without(calibration, dsocrctl(*request, "--analytic-only"))
            path = pathlib.Path(directory) / f"{workload}.json"
            path.write_text(json.dumps(held_out))
            runs, discarded = [], []
            while len(runs) < options.repeats and len(runs) + len(discarded) < options.attempts:
                before = after
                for _ in range(PATIENCE):
                    if is_quiet(before, reference):
                        break
                    before = probe(options.probe)
                report = dsocrctl(*request, "--calibration", path, "--force-rebuild")
                time.sleep(SETTLE_S)
                after = probe(options.probe)
                if options.keep:
                    (options.keep / f"{workload}-{len(runs) + len(discarded)}.json").write_text(json.dumps({"before": before, "after": after, "report": report}))
                counts = is_quiet(before, reference) and is_quiet(after, reference)
                (runs if counts else discarded).append(leaf_times(report))
            print(f"\n{workload}: {removed} points left out, {len(runs)} runs count, {len(discarded)} of {len(runs) + len(discarded)} discarded", flush=True)
            for row in [*STAGES, "page"]:
                cells = []
                for kind, of, scored in (("new", "count", runs), ("new", "all", runs + discarded), ("all", "count", runs)):
                    if not scored or scored[0][row, kind][1] <= 0:
                        continue
                    predicted, measured = scored[0][row, kind][0], statistics.median(run[row, kind][1] for run in scored)
                    error = predicted / measured - 1
                    errors["page" if row == "page" else "stage", kind, of].append(abs(error))
                    cells.append(f"{kind}, {of} runs: {predicted:9.1f} ms predicted, {measured:9.1f} measured, {100 * error:+6.1f} %")
                print(f"  {row:9} {'   '.join(cells)}", flush=True)
    print()
    for (what, kind, of), shares in errors.items():
        operators = "operators not seen" if kind == "new" else "all operators"
        runs = "runs that count" if of == "count" else "all runs"
        print(f"MAPE of {what}, {operators}, {runs}: {100 * statistics.mean(shares):.1f} %")


if __name__ == "__main__":
    main()
