"""What hooks on stages cost a job whose modules take 1.5 ms or more: processor time of its steps without hooks, with hooks of PyTorch that do
nothing, with the agent's, and with the agent's callbacks of operators beside them, in turn, a few steps each, in random order.

usage: hook_cost.py LIBPYTHON_SESSION [CYCLES]   Exit code 1: the whole 95 % interval of hooks and callbacks lies above the floor.
"""

import ctypes
import random
import statistics
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "jobs"))
import heavy_job  # noqa: E402

FLOOR = 0.03
STAGES = 1
ALL = "the agent's hooks and operator callbacks"
STEPS = 4  # the first of them finds the caches as the change of hooks left them
RESAMPLES = 2000
HOOKS = ("_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called")


def hooks_of(modules):
    return [{name: dict(getattr(module, name)) for name in HOOKS} for module in modules]


def put(modules, hooks):
    for module, of_module in zip(modules, hooks):
        for name, values in of_module.items():
            getattr(module, name).clear()
            getattr(module, name).update(values)


def processor_ns(model, data):
    times = []
    for _ in range(STEPS):
        start = time.thread_time_ns()
        model(data)
        times.append(time.thread_time_ns() - start)
    return statistics.median(times[1:])


def main():
    session = ctypes.CDLL(sys.argv[1])
    cycles = int(sys.argv[2]) if len(sys.argv) > 2 else 500
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, data = heavy_job.model_and_data(width=256, blocks=6)
    modules = [model, *model.blocks]
    chance = random.Random(1)
    with torch.inference_mode():
        model(data)
        kinds = {"none": hooks_of(modules)}
        for module in modules:
            module.register_forward_pre_hook(lambda module, args, kwargs: None, with_kwargs=True)
            module.register_forward_hook(lambda module, args, result: None, always_call=True)
        kinds["hooks that do nothing"] = hooks_of(modules)
        put(modules, kinds["none"])
        session.session_attach(STAGES, True)
        model(data)
        kinds["the agent's hooks"] = kinds[ALL] = hooks_of(modules)
        assert all(of_module["_forward_hooks"] for of_module in kinds[ALL])
        times = {kind: [] for kind in kinds}
        for _ in range(cycles):
            for kind in chance.sample(list(kinds), len(kinds)):
                put(modules, kinds[kind])
                session.session_enable_operators(kind == ALL)
                times[kind].append(processor_ns(model, data))
        put(modules, kinds[ALL])
        session.session_detach(10_000)

    without = times.pop("none")
    print(f"a step of {statistics.median(without) / 1e6:.1f} ms, {len(modules)} calls with hooks in it, {cycles} cycles")
    for kind, of_kind in times.items():
        ratios = [time_ns / alone_ns - 1 for time_ns, alone_ns in zip(of_kind, without)]
        medians = sorted(statistics.median(chance.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
        low, high = medians[RESAMPLES // 40], medians[-RESAMPLES // 40]
        print(f"{kind}: {100 * statistics.median(ratios):+.2f} % (95 % interval {100 * low:+.2f} to {100 * high:+.2f})")
    sys.exit(1 if low > FLOOR else 0)  # of all together


if __name__ == "__main__":
    main()
