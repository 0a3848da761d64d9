"""What the jobs of this directory have in common: how they are told to end, and what they say of themselves.

A job says "ready" on a line of its own once it has done a step, then runs steps until `--seconds` have passed, its standard input ends or
SIGTERM comes. At the end, and for each line on its standard input (after a step), it says one line of JSON: {"steps": [[start_ns, end_ns, cpu_ns, is_hooked], …],
"modules": [path, …], "operators": [[ns, thread, name, index into modules], …], "checksum": x}, times in CLOCK_MONOTONIC nanoseconds,
the processor's those of the thread; a step is hooked if the model had hooks before and after it, null if only once.

With `--log` it keeps a log of its own: every ATen operator that reaches the dispatcher, with the innermost module whose forward it was
called from. That needs no hooks of torch: forwards are wrapped, so a module call keeps the way that it takes without a log.
"""

import argparse
import contextlib
import json
import os
import select
import signal
import sys
import threading
import time

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class OperatorLog(TorchDispatchMode):
    """Of the threads that enter it; the modules are those of `model`, the root's path is the empty one."""

    def __init__(self, model):
        super().__init__()
        self.modules = [path for path, _ in model.named_modules()]
        self.operators = []
        self.local = threading.local()
        for index, (_, module) in enumerate(model.named_modules()):
            module.forward = self.wrapped(module.forward, index)

    def wrapped(self, forward, index):
        def logged(*args, **kwargs):
            stack = self.stack()
            stack.append(index)
            try:
                return forward(*args, **kwargs)
            finally:
                stack.pop()

        return logged

    def stack(self):
        if not hasattr(self.local, "stack"):
            self.local.stack = [-1]
        return self.local.stack

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.operators.append((time.monotonic_ns(), threading.get_native_id(), func.name(), self.stack()[-1]))
        return func(*args, **(kwargs or {}))


def parser(description):
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--seconds", type=float, help="how long to run; default: until standard input ends")
    options.add_argument("--log", action="store_true", help="log every operator with its innermost module")
    options.add_argument("--on-demand", action="store_true", help="a step for each line on standard input, and not before it")
    options.add_argument("--torch-threads", type=int, default=1)
    return options


def wanted_reports(timeout_s):
    """How many lines came on standard input within that time (None: wait for one); -1 at its end."""
    if not select.select([0], [], [], timeout_s)[0]:
        return 0
    data = os.read(0, 4096)
    return data.count(b"\n") if data else -1


def run(options, model, step):
    """Runs `step()`, which returns a tensor or a number, as `options` say."""
    torch.set_num_threads(options.torch_threads)
    torch.manual_seed(0)
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    log = OperatorLog(model) if options.log else None
    steps, checksum = [], 0.0

    def report():
        print(json.dumps({"pid": os.getpid(), "steps": steps, "modules": log.modules if log else [],
                          "operators": log.operators if log else [], "checksum": checksum}), flush=True)

    with torch.inference_mode(), log or contextlib.nullcontext():
        checksum = float(step())
        print("ready", flush=True)
        end = time.monotonic() + options.seconds if options.seconds is not None else None
        while not stopped.is_set() and (end is None or time.monotonic() < end):
            reports = wanted_reports(None if options.on_demand else 0) if end is None else 0
            if reports < 0:
                break
            hooked, start, cpu = bool(model._forward_hooks), time.monotonic_ns(), time.thread_time_ns()
            checksum = float(step())
            end_ns, cpu = time.monotonic_ns(), time.thread_time_ns() - cpu
            steps.append((start, end_ns, cpu, hooked if hooked == bool(model._forward_hooks) else None))
            for _ in range(reports):
                report()
    report()
    sys.stdout.flush()
