"""Jobs for the agent to record: decoder layers of DeepSeek-OCR's sizes, and small kernels without end. Prints one JSON object.

    torch_job.py --device cuda:0 request [--profiler FILE]   one request; FILE: what PyTorch's own profiler saw of it
    torch_job.py --device cuda:0 time [--graphs]             how long a decode step takes
    torch_job.py --device cuda:0 toggle [--graphs]           what being recorded adds to a decode step: the agent paused and resumed
    torch_job.py --device cuda:0 soak --operations N         small kernels, replayed until so many have run
    torch_job.py --device cuda:0 start_stop --cycles N       the agent paused and resumed under graph replay
    torch_job.py --device cuda:0 buffers --out FOLDER        CUPTI's activity buffers as they come
"""

import argparse
import contextlib
import ctypes
import json
import math
import os
import pathlib
import random
import statistics
import time

import torch
import torch.nn.functional as F

from activity_buffers import ActivityBuffers

SEED = 1
# hidden, intermediate, heads, layers, rows of prefill, decode steps: the decoder of DeepSeek-OCR, and one for a test.
SIZES = {"cuda": (1280, 6848, 10, 12, 512, 64), "cpu": (64, 128, 2, 2, 16, 4)}


@contextlib.contextmanager
def nvtx(name):
    torch.cuda.nvtx.range_push(name)
    try:
        yield
    finally:
        torch.cuda.nvtx.range_pop()


class Decoder:
    """Dense layers over a cache of fixed length: the same kernels at every step, so that a step can be captured."""

    def __init__(self, device):
        hidden, intermediate, self.heads, self.layers, self.rows, self.steps = SIZES[device.type]
        self.device = device
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        make = lambda *shape: torch.randn(*shape, device=device, dtype=dtype) / math.sqrt(shape[-1])  # noqa: E731
        self.weights = [{name: make(*shape) for name, shape in
                         (("q", (hidden, hidden)), ("k", (hidden, hidden)), ("v", (hidden, hidden)), ("o", (hidden, hidden)),
                          ("gate", (intermediate, hidden)), ("up", (intermediate, hidden)), ("down", (hidden, intermediate)))}
                        for _ in range(self.layers)]
        self.norm = torch.ones(hidden, device=device, dtype=dtype)
        kept = (2, 1, self.heads, self.rows, hidden // self.heads)
        self.cache = [torch.zeros(kept, device=device, dtype=dtype) for _ in range(self.layers)]
        self.prompt, self.token = make(self.rows, hidden), make(1, hidden)
        self.graph = None

    def heads_of(self, x):
        return x.view(1, x.shape[0], self.heads, -1).transpose(1, 2)

    def forward(self, x, stage):
        for index, (weight, cache) in enumerate(zip(self.weights, self.cache)):
            with nvtx(f"{stage}/layer[{index}]"):
                y = F.rms_norm(x, self.norm.shape, self.norm)
                query, key, value = (self.heads_of(F.linear(y, weight[name])) for name in "qkv")
                cache[0, :, :, :x.shape[0]].copy_(key)
                cache[1, :, :, :x.shape[0]].copy_(value)
                attended = F.scaled_dot_product_attention(query, cache[0], cache[1])
                x = x + F.linear(attended.transpose(1, 2).reshape(x.shape), weight["o"])
                y = F.rms_norm(x, self.norm.shape, self.norm)
                x = x + F.linear(F.silu(F.linear(y, weight["gate"])) * F.linear(y, weight["up"]), weight["down"])
        return x

    def step(self):
        with nvtx("decode"):
            if self.graph is not None:
                self.graph.replay()
            else:
                self.forward(self.token, "decode")

    def capture(self):
        self.step()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with nvtx("capture"), torch.cuda.graph(graph):
            self.forward(self.token, "decode")
        self.graph = graph

    def request(self, name):
        with nvtx(name):
            with nvtx("prefill"):
                self.forward(self.prompt, "prefill")
            for _ in range(self.steps):
                self.step()
            self.wait()

    def wait(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


class Agent:
    """The agent of this process, for a job that is under it."""

    def __init__(self):
        library = ctypes.CDLL(os.environ["NVTX_INJECTION64_PATH"])
        self.pause, self.resume = library.dsocr_agent_pause, library.dsocr_agent_resume


class SmallKernels:
    """Many small operations at once: a graph of them on a GPU. Each run adds 1 to every number."""

    PER_RUN = 1000

    def __init__(self, device):
        self.numbers = torch.zeros(self.PER_RUN, 64, device=device)
        self.graph = None
        self.rows = list(self.numbers)
        if device.type == "cuda":
            self.rows[0].add_(0)
            torch.cuda.synchronize()
            self.graph = torch.cuda.CUDAGraph()
            with nvtx("capture"), torch.cuda.graph(self.graph):
                self.add()

    def add(self):
        for row in self.rows:
            row.add_(1)

    def run(self):
        with nvtx("replay"):
            if self.graph is not None:
                self.graph.replay()
            else:
                self.add()

    def ran(self, times):
        return bool((self.numbers == times).all())


def outermost_operators(events):
    def is_aten(event):
        return event is not None and event.name.startswith("aten::")

    for event in events:
        parent = event.cpu_parent
        while parent is not None and not is_aten(parent):
            parent = parent.cpu_parent
        if is_aten(event) and parent is None:
            yield event


def profiled_operations(profile, is_cuda):
    """name -> [count, sum of ns]: of the device's operations, on a CPU of the outermost operator calls."""
    device_type = torch.autograd.DeviceType.CUDA if is_cuda else torch.autograd.DeviceType.CPU
    events = [event for event in profile.events() if event.device_type == device_type]
    if not is_cuda:
        events = outermost_operators(events)
    sums = {}
    for event in events:
        if not getattr(event, "is_user_annotation", False):
            total = sums.setdefault(event.name, [0, 0])
            total[0] += 1
            total[1] += round(event.time_range.elapsed_us() * 1e3)
    return sums


def run_request(device, arguments):
    decoder = Decoder(device)
    decoder.request("warm-up")
    if arguments.profiler is None:
        decoder.request("request")
        return {}
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profile:
        decoder.request("request")
    arguments.profiler.write_text(json.dumps(profiled_operations(profile, device.type == "cuda")))
    return {}


def timed_ms(decoder):
    decoder.wait()
    start = time.perf_counter()
    for _ in range(decoder.steps):
        decoder.step()
    decoder.wait()
    return (time.perf_counter() - start) * 1e3 / decoder.steps


def prepared(device, has_graphs):
    decoder = Decoder(device)
    decoder.request("warm-up")
    if has_graphs:
        decoder.capture()
    timed_ms(decoder)
    return decoder


def run_time(device, arguments):
    decoder = prepared(device, arguments.graphs)
    return {"step_ms": statistics.median(timed_ms(decoder) for _ in range(arguments.pairs))}


def interval_95(values):
    """Of the median, by order statistics."""
    ordered, half = sorted(values), 0.98 * math.sqrt(len(values))
    low, high = int(len(values) / 2 - half), math.ceil(len(values) / 2 + half)
    return [ordered[max(low, 0)], ordered[min(high, len(values) - 1)]]


def run_toggle(device, arguments):
    """Pairs of neighbours, in an order drawn from a fixed seed: drift falls on both alike."""
    decoder, agent, draw = prepared(device, arguments.graphs), Agent(), random.Random(SEED)
    ratios, recorded = [], []
    for _ in range(arguments.pairs):
        ms = {}
        for is_recorded in draw.sample([True, False], 2):
            (agent.resume if is_recorded else agent.pause)()
            timed_ms(decoder)  # what switching costs is not what recording costs
            ms[is_recorded] = timed_ms(decoder)
        ratios.append(ms[True] / ms[False])
        recorded.append(ms[True])
    agent.resume()
    return {"pairs": len(ratios), "recorded_step_ms": statistics.median(recorded), "ratio": statistics.median(ratios),
            "ratio_95": interval_95(ratios)}


def used_memory(device):
    free, total = torch.cuda.mem_get_info(device) if device.type == "cuda" else (0, 0)
    return total - free


def run_soak(device, arguments):
    kernels = SmallKernels(device)
    kernels.run()
    before = peak = used_memory(device)
    runs, start = 1, time.monotonic()
    while runs * kernels.PER_RUN < arguments.operations and time.monotonic() - start < arguments.seconds:
        for _ in range(20):
            kernels.run()
        runs += 20
        peak = max(peak, used_memory(device))
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    return {"operations": runs * kernels.PER_RUN, "seconds": time.monotonic() - start, "memory_before_bytes": before,
            "memory_peak_bytes": peak, "memory_after_bytes": used_memory(device), "is_correct": kernels.ran(runs)}


def run_start_stop(device, arguments):
    kernels, agent = SmallKernels(device), Agent()
    for _ in range(arguments.cycles):
        agent.pause()
        kernels.run()
        agent.resume()
        kernels.run()
    return {"cycles": arguments.cycles, "operations": 2 * arguments.cycles * kernels.PER_RUN,
            "is_correct": kernels.ran(2 * arguments.cycles)}


def run_buffers(device, arguments):
    decoder, buffers = prepared(device, has_graphs=False), ActivityBuffers()
    buffers.start()
    decoder.step()
    decoder.capture()
    decoder.step()
    decoder.wait()
    buffers.stop()
    (arguments.out / "activity_buffers.bin").write_bytes(buffers.bytes)
    index = {"cupti": buffers.version(), "kinds": buffers.KINDS, "buffers": buffers.index}
    (arguments.out / "activity_buffers.json").write_text(json.dumps(index))
    return {"buffers": len(buffers.index), "bytes": len(buffers.bytes), "records": sum(len(b["records"]) for b in buffers.index)}


JOBS = {"request": run_request, "time": run_time, "toggle": run_toggle, "soak": run_soak, "start_stop": run_start_stop,
        "buffers": run_buffers}


def main():
    parser = argparse.ArgumentParser(prog="torch_job.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", choices=JOBS)
    parser.add_argument("--device", type=torch.device, required=True)
    parser.add_argument("--profiler", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--graphs", action="store_true", help="the decode step is a CUDA graph")
    parser.add_argument("--pairs", type=int, default=30, help="measurements, or pairs of them")
    parser.add_argument("--operations", type=int, default=30_000_000)
    parser.add_argument("--seconds", type=float, default=60, help="a soak ends after this long in any case")
    parser.add_argument("--cycles", type=int, default=100)
    parser.add_argument("--out", type=pathlib.Path, help="folder of the buffers")
    arguments = parser.parse_args()
    torch.manual_seed(SEED)
    with torch.inference_mode():
        print(json.dumps(JOBS[arguments.job](arguments.device, arguments)))


if __name__ == "__main__":
    main()
