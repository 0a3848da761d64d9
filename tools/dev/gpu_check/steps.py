"""The steps. Each takes a Check, fills check.figures, returns one line for the table, and raises StepFailed or NotRun.

docs/operations.md, "On a GPU", lists them with their floors."""

import csv
import json
import pathlib
import platform
import shutil
import statistics
import struct
import sys
import tarfile

from programs import Daemon, NotRun, StepFailed, build_from_source, launcher_in

ATTRIBUTED_FLOOR = 0.999
DURATION_TOLERANCE = 0.05  # of summed durations in two runs of the same kernels
OVERHEAD_LIMITS = {"eager": 1.03, "graphs": 1.01, "detached": 1.01}  # detached: what two processes differ by
SOAK_OPERATIONS = 30_000_000
SOAK_MEMORY_LIMIT_BYTES = 256 << 20
CYCLES = 100
ARCHIVE_LIMIT_BYTES = 16 << 20
PROFILES = ("standard", "a4", "tiny", "small", "base", "large")
STAGES = ("vision/sam", "vision/clip", "projector", "prefill", "decode")
# One workload for a CPU: the sizes that the test fixture's model can run.
SMALL_WORKLOAD = {"base_size": 256, "image_size": 160, "crop_mode": True, "page_width": 500, "page_height": 380, "seq_len": 89,
                  "max_new_tokens": 16}
# base, image, crops, page, prompt, for the runner where there is no dsocrd to know them: the catalogue of docs/entities.md.
WORKLOADS = {"standard": (1024, 640, True, 600, 600, 512), "tiny": (512, 512, False, 512, 512, 128),
             "small": (640, 640, False, 640, 640, 256), "base": (1024, 1024, False, 1024, 1024, 512),
             "large": (1280, 1280, False, 1280, 1280, 640), "a4": (1024, 640, True, 1240, 1754, 1024)}
WORKLOAD_KEYS = ("base_size", "image_size", "crop_mode", "page_width", "page_height", "seq_len")


def environment(check):
    code = "import torch; print(torch.__version__, torch.version.cuda, torch.cuda.is_available())"
    torch, cuda, has_cuda = check.output([sys.executable, "-c", code]).decode().split()
    commit = check.run(["git", "-C", check.root, "rev-parse", "HEAD"]).stdout.decode().strip() if shutil.which("git") else ""
    check.facts |= {"device": check.device, "gpu": None, "driver": None, "cuda": cuda, "torch": torch, "commit": commit or None,
                    "python": platform.python_version(), "system": platform.platform()}
    if check.has_gpu:
        if has_cuda != "True":
            raise StepFailed(f"torch {torch} sees no CUDA device; --device cpu tries the script itself")
        keys = ("name", "driver_version", "clocks.sm", "clocks.max.sm", "clocks.mem", "memory.total", "memory.used")
        rows = check.output(["nvidia-smi", f"--query-gpu={','.join(keys)}", "--format=csv,noheader"]).decode()
        values = next(csv.reader(rows.splitlines()[int(check.device.partition(":")[2]):], skipinitialspace=True))
        check.figures |= dict(zip(keys, values))
        check.facts |= {"gpu": values[0], "driver": values[1]}
    return f"{check.facts['gpu'] or 'no GPU'}, driver {check.facts['driver']}, torch {torch}, CUDA {cuda}"


def find_programs(check):
    folders = [check.programs_dir.resolve()] if check.programs_dir else [check.root / "build/bundle", check.root / "build"]
    found = ((folder, launcher_in(check, folder)) for folder in folders)
    folder, check.launcher = next((pair for pair in found if pair[1] is not None), None) or ("source", build_from_source(check))
    kind = "dsocrd" if isinstance(check.launcher, Daemon) else "attribute_job" + ("" if check.launcher.runner else ", no dsocr-runner")
    check.figures |= {"from": str(folder), "kind": kind}
    return f"{kind} of {folder}"


def books(attribution):
    """The ledger's line, and what is wrong with it. None: launches were not counted, as on a CPU."""
    ledger = attribution.get("ledger")
    if ledger is None or ledger["launched"] is None:
        return None, []
    parts = {key: ledger[key] for key in ("launched", "recorded", "dropped", "invalid", "pending")}
    problems = []
    if parts["launched"] != sum(parts.values()) - parts["launched"]:
        problems.append(f"the ledger does not close: {parts}")
    return parts, problems


def check_attribution(check, name, attribution):
    """Puts the attribution into the figures. The list of what falls short."""
    ledger, problems = books(attribution)
    check.figures[name] = {"attributed_share": attribution["attributed_share"], "operations": attribution["operations"],
                           "dropped": attribution["records_dropped"], "invalid": attribution["records_invalid"], "ledger": ledger,
                           "graphs": attribution.get("graphs"), "sync_gap_time_ms": attribution.get("sync_gap_time_ms"),
                           "incidents": attribution.get("incidents", [])}
    if check.has_gpu and ledger is None:
        problems.append("no ledger")
    if attribution["attributed_share"] < ATTRIBUTED_FLOOR:
        problems.append(f"attributed {attribution['attributed_share']:.4%}")
    return [f"{name}: {problem}" for problem in problems]


def stage_ratios(report):
    """predicted / measured."""
    ratios = {}
    for module in report["module_measurements"]:
        predicted, residual = module.get("predicted_time_ms"), module.get("residual_ms")
        if module["module_id"] in STAGES and predicted is not None and residual is not None and predicted + residual > 0:
            ratios[module["module_id"]] = round(predicted / (predicted + residual), 4)
    return ratios


def run_with_daemon(check, name, profile, has_graphs):
    if check.has_gpu:
        what = ["--workload-profile-id", f"dsocr-{profile}-v1"]
    else:
        sizes = SMALL_WORKLOAD
        what = ["--model", check.root / "tests/golden/fixtures/tiny_a", "--dtype", "fp32", "--crop-mode", 1,
                "--page", f"{sizes['page_width']}x{sizes['page_height']}", "--base-size", sizes["base_size"],
                "--image-size", sizes["image_size"], "--seq-len", sizes["seq_len"], "--max-new-tokens", sizes["max_new_tokens"]]
    command = [check.launcher.ctl, "run", "--run-id", name, "--device", check.device, *what, "-o", "json"]
    report = json.loads(check.output(command + (["--cuda-graphs"] if has_graphs else [])))
    check.keep(f"{name}.json", json.dumps(report, indent=1))
    return report, check.scratch / "artifacts" / name / "trace/records.dsocr"


def run_without_daemon(check, name, profile, has_graphs):
    if check.launcher.runner is None:
        raise NotRun("no dsocr-runner: its libraries are not on this machine")
    workload = SMALL_WORKLOAD
    if check.has_gpu:
        workload = dict(zip(WORKLOAD_KEYS, WORKLOADS[profile])) | {"max_new_tokens": 64}
    model = None if check.has_gpu else str(check.root / "tests/golden/fixtures/tiny_a")
    request = {"model_dir": model, "random_seed": 0, "device": check.device, "dtype": "bf16" if check.has_gpu else "fp32",
               "workload": workload, "image_path": None, "prompt": None, "warmup": 1, "repeats": 1, "cuda_graphs": has_graphs}
    body = json.dumps(request).encode()
    recording = check.launch(name, [check.launcher.runner, "serve"], request="deepseek_ocr", warmup=1,
                             stdin=struct.pack("<I", len(body)) + body)
    return recording.report, recording.trace


def main_job(check):
    """DeepSeek-OCR at full size: each profile eagerly and with CUDA graphs."""
    run = run_with_daemon if isinstance(check.launcher, Daemon) else run_without_daemon
    modes = (False, True) if check.has_gpu else (False,)
    problems, shares, missing = [], [], []
    for profile in PROFILES if check.has_gpu else PROFILES[:1]:
        for has_graphs in modes:
            name = f"main-{profile}-{'graphs' if has_graphs else 'eager'}"
            if check.seconds_left() < 10:
                missing.append(name)
                continue
            try:
                report, trace = run(check, name, profile, has_graphs)
            except StepFailed as reason:
                problems.append(f"{name}: {reason}")
                continue
            problems += check_attribution(check, name, report["attribution"])
            shares.append(report["attribution"]["attributed_share"])
            check.figures[name] |= {"measured_total_time_ms": report["measured_total_time_ms"],
                                    "predicted_vs_measured_ratio": report.get("predicted_vs_measured_ratio"),
                                    "stage_ratios": stage_ratios(report)}
            if profile == "tiny" or not check.has_gpu:
                keep_trace(check, name, trace)
    if missing:
        problems.append(f"no time for {', '.join(missing)}")
    if problems:
        raise StepFailed("; ".join(problems))
    without = "" if check.has_gpu else "; graphs not run: no GPU"
    return f"{len(shares)} runs, attributed {min(shares):.4%} (floor {ATTRIBUTED_FLOOR:.1%}){without}"


def keep_trace(check, name, trace):
    """As much of a trace as an archive holds: one that was cut short can be read up to there, and packing makes it no smaller."""
    path = check.scratch / "keep" / f"{name}.dsocr"
    with open(trace, "rb") as source:
        path.write_bytes(source.read(ARCHIVE_LIMIT_BYTES * 15 // 16))
    check.recordings.append(path)


def flattened(sums):
    """Counts in descending order: the same whether names are mangled or not."""
    return sorted((count for count, _ in sums.values()), reverse=True)


def torch_profiler(check):
    """The same request under our agent and under torch.profiler: as many operations of each name, and as long."""
    recording = check.launch("torch-request", check.torch_job("request"))
    profiler_file = check.scratch / "torch-profiler.json"
    check.output(check.torch_job("request", "--profiler", profiler_file))
    theirs = json.loads(profiler_file.read_text())
    ours = check.operations(recording, "request")
    count_ours, count_theirs = sum(flattened(ours)), sum(flattened(theirs))
    ns_ours, ns_theirs = (sum(ns for _, ns in sums.values()) for sums in (ours, theirs))
    ratio = ns_ours / ns_theirs if ns_theirs else 0.0
    check.figures |= {"operations": count_ours, "operations_torch": count_theirs, "device_ns": ns_ours, "device_ns_torch": ns_theirs,
                      "duration_ratio": ratio}
    keep_trace(check, "torch-request", recording.trace)
    if flattened(ours) != flattened(theirs):
        differing = {name: (ours.get(name, [0])[0], theirs.get(name, [0])[0]) for name in sorted({*ours, *theirs})
                     if ours.get(name, [0])[0] != theirs.get(name, [0])[0]}
        check.figures["differing"] = differing
        raise StepFailed(f"{count_ours} operations, torch.profiler has {count_theirs}")
    if check.has_gpu and abs(ratio - 1) > DURATION_TOLERANCE:
        raise StepFailed(f"durations are {ratio:.4f} of torch.profiler's, expected 1 within {DURATION_TOLERANCE:.0%}")
    judged = f"(limit {DURATION_TOLERANCE:.0%})" if check.has_gpu else "(not judged on a CPU: that profiler slows it down)"
    return f"{count_ours} operations in both, durations ours / theirs {ratio:.4f} {judged}"


def printed(stdout):
    return json.loads(stdout.strip().splitlines()[-1])


def overhead(check):
    """What being recorded adds to a decode step, eagerly and in a graph; and what an agent does that nobody listens to any more."""
    pairs = 20 if check.has_gpu else 4
    lines, problems = [], []
    for mode in ("eager", "graphs") if check.has_gpu else ("eager",):
        flags = ["--graphs"] if mode == "graphs" else []
        figures = printed(check.launch(f"overhead-{mode}", check.torch_job("toggle", "--pairs", pairs, *flags)).stdout)
        check.figures[mode] = figures
        low, high = figures["ratio_95"]
        lines.append(f"{mode} {figures['ratio'] - 1:+.2%} [{low - 1:+.2%}, {high - 1:+.2%}] (limit {OVERHEAD_LIMITS[mode] - 1:.0%})")
        if figures["ratio"] > OVERHEAD_LIMITS[mode]:
            problems.append(mode)
    agent = {"DSOCR_AGENT_SOCKET": str(check.scratch / "nobody"), "DSOCR_AGENT_TOKEN": "0" * 32,
             **dict.fromkeys(("NVTX_INJECTION64_PATH", "CUDA_INJECTION64_PATH", "LD_PRELOAD"), str(check.launcher.agent))}
    ratios = []
    for _ in range(3 if check.has_gpu else 1):
        command = check.torch_job("time", "--pairs", pairs // 2)
        with_agent, without = (printed(check.output(command, env=env).decode())["step_ms"] for env in (agent, {}))
        ratios.append(with_agent / without)
    check.figures["detached"] = {"ratios": ratios, "ratio": statistics.median(ratios)}
    lines.append(f"detached {statistics.median(ratios) - 1:+.2%} (limit {OVERHEAD_LIMITS['detached'] - 1:.0%})")
    if statistics.median(ratios) > OVERHEAD_LIMITS["detached"]:
        problems.append("detached")
    if problems and check.has_gpu:
        raise StepFailed(f"above the limit: {', '.join(problems)}; {', '.join(lines)}")
    return ", ".join(lines) + ("" if check.has_gpu else "; not judged on a CPU, graphs not run: no GPU")


def used_memory_of_gpu(check):
    rows = check.output(["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]).decode().splitlines()
    return int(rows[int(check.device.partition(":")[2])]) << 20


def soak(check):
    """Graph replays until tens of millions of records have gone by: the books close, and the tool's memory does not grow."""
    operations = SOAK_OPERATIONS if check.has_gpu else 20_000
    before = used_memory_of_gpu(check) if check.has_gpu else 0
    seconds = max(check.seconds_left() - 25, 5)
    recording = check.launch("soak", check.torch_job("soak", "--operations", operations, "--seconds", f"{seconds:.0f}"))
    figures = printed(recording.stdout)
    after = used_memory_of_gpu(check) if check.has_gpu else 0
    growth = figures["memory_peak_bytes"] - figures["memory_before_bytes"]
    attribution = recording.attribution
    ledger, problems = books(attribution)
    recorded = ledger["recorded"] if ledger else attribution["operations"]
    check.figures |= figures | {"recorded": recorded, "ledger": ledger, "dropped": attribution["records_dropped"],
                                "invalid": attribution["records_invalid"], "incidents": attribution.get("incidents", []),
                                "nvidia_smi_before_bytes": before, "nvidia_smi_after_bytes": after}
    if not figures["is_correct"]:
        problems.append("the job's result is wrong")
    if recorded < operations:
        problems.append(f"{recorded:,} records of {figures['operations']:,} operations, expected {operations:,}")
    if growth > SOAK_MEMORY_LIMIT_BYTES:
        problems.append(f"device memory grew by {growth >> 20} MiB")
    if problems:
        raise StepFailed("; ".join(problems))
    without = "" if check.has_gpu else "; eager, not a graph: no GPU"
    dropped = attribution["records_dropped"]
    return f"{recorded:,} records in {figures['seconds']:.0f} s, {dropped:,} dropped, memory {growth / (1 << 20):+.0f} MiB{without}"


def start_stop(check):
    cycles = CYCLES if check.has_gpu else 5
    recording = check.launch("start-stop", check.torch_job("start_stop", "--cycles", cycles))
    figures = printed(recording.stdout)
    ledger, problems = books(recording.attribution)
    recorded = recording.attribution["operations"]
    check.figures |= figures | {"recorded": recorded, "ledger": ledger, "incidents": recording.attribution.get("incidents", [])}
    if not figures["is_correct"]:
        problems.append("the job's result is wrong")
    if not 0 < recorded < figures["operations"]:
        problems.append(f"{recorded:,} of {figures['operations']:,} operations recorded, expected about half")
    if problems:
        raise StepFailed("; ".join(problems))
    return f"{cycles} cycles, {recorded:,} of {figures['operations']:,} operations recorded, result correct"


def gpu_tests(check):
    """The tests labelled `gpu` of a build that has them."""
    check.need_gpu()
    build = check.root / "build"
    if not (build / "CTestTestfile.cmake").exists() or not shutil.which("ctest"):
        raise NotRun("no build with tests")
    result = check.run(["ctest", "--test-dir", build, "-L", "^gpu$", "--output-on-failure"])
    text = result.stdout.decode(errors="replace")
    check.keep("ctest-gpu.log", text)
    if "No tests were found" in text + result.stderr:
        raise NotRun("the build has no test labelled gpu: it was configured without one")
    if result.returncode != 0:
        raise StepFailed(next((line for line in text.splitlines() if "tests failed" in line), "ctest failed"))
    return next(line for line in text.splitlines() if "tests passed" in line)


def activity_buffers(check):
    """What CUPTI wrote, byte by byte: inputs for tests of the agent's reader."""
    check.need_gpu()
    folder = check.scratch / "keep"
    folder.mkdir(exist_ok=True)
    figures = printed(check.output(check.torch_job("buffers", "--out", folder)).decode())
    check.recordings += [folder / "activity_buffers.bin", folder / "activity_buffers.json"]
    check.figures |= figures
    return f"{figures['records']:,} records in {figures['buffers']} buffers"


def calibration(check):
    runner = check.launcher.runner
    if runner is None:
        raise NotRun("no dsocr-runner")
    budget = "15s"
    dtype = "bf16" if check.has_gpu else "fp32"
    text = check.output([runner, "calibrate", "--device", check.device, "--dtype", dtype, "--budget", budget, "-o", "json"]).decode()
    check.keep("calibration.json", text)
    document = json.loads(text)
    points, host = len(document["points"]), document.get("host")
    check.figures |= {"points": points, "host": host}
    if points == 0:
        raise StepFailed(f"no point within {budget}")
    if host is None:
        return f"{points} points"
    return f"{points} points; the host launches in {host['launch_ns'] / 1000:.1f} us, and goes on {host['wait_ns'] / 1000:.1f} us after a kernel that it waited for"


def pack(path, files):
    with tarfile.open(path, "w:gz", compresslevel=6) as archive:
        for file in files:
            archive.add(file, arcname=file.name)
    return path.stat().st_size


def pack_recordings(check, out):
    """At most six flat archives: documents, buffers, and one a trace."""
    for old in out.glob("*.tar.gz"):
        old.unlink()
    traces = [path for path in check.recordings if path.suffix == ".dsocr"]
    buffers = [path for path in check.recordings if path.name.startswith("activity_buffers")]
    groups = {"documents": [path for path in check.recordings if path not in traces + buffers], "activity-buffers": buffers}
    groups |= {f"trace-{path.stem}": [path] for path in traces[:4]}
    sizes, problems = {}, []
    for name, files in groups.items():
        if not files:
            continue
        archive = out / f"{name}.tar.gz"
        if (size := pack(archive, files)) > ARCHIVE_LIMIT_BYTES:
            archive.unlink()
            problems.append(f"{archive.name} would have {size >> 20} MiB, more than {ARCHIVE_LIMIT_BYTES >> 20}")
            continue
        sizes[archive.name] = size
    check.figures |= sizes
    if problems:
        raise StepFailed("; ".join(problems))
    return f"{len(sizes)} archives, {sum(sizes.values()) / (1 << 20):.1f} MiB, in {out}"
