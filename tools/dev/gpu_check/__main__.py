"""Runs the steps within the budget, prints the table, leaves results.json. Steps come in order of worth: one that fails, or for which
no time is left, is reported as that, and the next goes on."""

import argparse
import datetime
import json
import pathlib
import shutil
import sys
import tempfile
import time

import steps
from programs import Check, NotRun, StepFailed

# name, the most seconds that it may take of the default budget (in proportion of another), what it does. A step starts only if a
# fifth of its time is left; the last one packs what the others left, for which PACK_S is kept.
BUDGET_S = 480
STEPS = (
    ("environment", 40, steps.environment),
    ("programs", 150, steps.find_programs),
    ("main_job", 160, steps.main_job),
    ("torch_profiler", 60, steps.torch_profiler),
    ("start_stop", 40, steps.start_stop),
    ("overhead", 110, steps.overhead),
    ("soak", 110, steps.soak),
    ("gpu_tests", 60, steps.gpu_tests),
    ("buffers", 20, steps.activity_buffers),
    ("calibration", 30, steps.calibration),
)
PACK_S = 20


def parse_arguments():
    parser = argparse.ArgumentParser(prog="gpu_check.sh", description="Measure what is claimed of a GPU; see docs/operations.md.")
    parser.add_argument("--device", default="cuda:0", help="cuda:N, or cpu: small sizes, to try the script itself (default: cuda:0)")
    parser.add_argument("--out", type=pathlib.Path, help="folder of results.json and archives (default: build/gpu-check)")
    parser.add_argument("--programs", type=pathlib.Path, help="folder with bin/ (default: build/bundle, build, else built from source)")
    parser.add_argument("--only", type=lambda text: text.split(","), help="steps to run, by name, besides environment and programs")
    parser.add_argument("--budget", type=float, default=BUDGET_S, help="seconds in all (default: 480)")
    arguments = parser.parse_args()
    unknown = set(arguments.only or ()) - {name for name, _, _ in STEPS}
    if unknown:
        parser.error(f"no step {', '.join(sorted(unknown))}; there are {', '.join(name for name, _, _ in STEPS)}")
    return arguments


def run_step(check, name, limit_s, step, end):
    left_s = end - time.monotonic()
    check.deadline = time.monotonic() + min(limit_s, left_s)
    started = time.monotonic()
    outcome = {"name": name, "passed": None, "figures": {}, "why": ""}
    check.figures = outcome["figures"]
    try:
        if left_s < limit_s / 5:
            raise NotRun(f"{max(left_s, 0):.0f} s left")
        outcome["why"] = step(check) or ""
        outcome["passed"] = True
    except NotRun as reason:
        outcome["why"] = f"not run: {reason}"
    except StepFailed as reason:
        outcome["passed"] = False
        outcome["why"] = str(reason)
    except Exception as error:  # a fault of this script or of the machine must not hide what comes after it
        outcome["passed"] = False
        outcome["why"] = f"{type(error).__name__}: {error}"
    outcome["seconds"] = round(time.monotonic() - started, 1)
    word = {True: "passed", False: "FAILED", None: "-"}[outcome["passed"]]
    print(f"{name:<15} {word:<7} {outcome['seconds']:>6.1f} s  {outcome['why']}", flush=True)
    return outcome


def main():
    arguments = parse_arguments()
    root = pathlib.Path(__file__).resolve().parents[3]
    out = (arguments.out or root / "build/gpu-check").resolve()
    out.mkdir(parents=True, exist_ok=True)
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="dsocr-"))  # short: socket paths end at 107 bytes
    check = Check(root=root, scratch=scratch, device=arguments.device, programs_dir=arguments.programs)
    end = time.monotonic() + arguments.budget
    outcomes = []
    try:
        for name, limit_s, step in STEPS:
            if arguments.only is None or name in ("environment", "programs", *arguments.only):
                limit_s *= arguments.budget / BUDGET_S
                outcomes.append(run_step(check, name, limit_s, step, end - PACK_S))
        outcomes.append(run_step(check, "recordings", PACK_S, lambda c: steps.pack_recordings(c, out), end))
    finally:
        check.stop()
        shutil.rmtree(scratch, ignore_errors=True)
    results = check.facts | {"date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "steps": outcomes}
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    failed = [outcome["name"] for outcome in outcomes if outcome["passed"] is False]
    print(f"{out}/results.json: {'failed: ' + ', '.join(failed) if failed else 'no step failed'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
