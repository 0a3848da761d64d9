"""The floors of attach at full length, on busy PyTorch jobs: what it costs, what it leaves, and what becomes of the job when the daemon dies.

usage: attach_soak.py [CYCLES [PAIRS [KILLS]]] [Soak.test_…]   `make soak` calls it. A floor is missed if the whole 95 % interval of a median lies beyond it.
"""

import os
import random
import re
import signal
import statistics
import sys
import time

import attach_test
from attach_test import AttachTest, BIN, Job, comms, descriptors, tracers, wait_until

FIRST_RECORDS = 20
FIRST_RECORD_FLOOR_MS = 1000
HOOK_FLOOR = 0.03
AFTER_FLOOR = 0.01
WINDOW_STEPS = 25  # with hooks: calls of the root
WINDOW_CPU_S = 0.3  # without: of the job's processor time, so that a busy machine makes windows longer and not emptier
LEAST_STEPS = 9
RESAMPLES = 2000


def mappings(pid):
    """Of files, and of code: what the job itself allocates comes and goes."""
    with open(f"/proc/{pid}/maps") as lines:
        fields = [line.split(maxsplit=5) for line in lines]
    return sorted((field[1], field[5].strip() if len(field) > 5 else "") for field in fields if len(field) > 5 or "x" in field[1])


def resident_mib(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) / 1024


def processor_s(pid):
    with open(f"/proc/{pid}/stat") as stat:
        user, system = stat.read().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def interval(values):
    """Of the median, 95 %, by bootstrap."""
    chance = random.Random(1)
    medians = sorted(statistics.median(chance.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return medians[RESAMPLES // 40], medians[-RESAMPLES // 40]


def as_percent(ratios):
    """A line on ratios, and the lower end of the interval as a difference from 1."""
    low, high = interval(ratios)
    quartiles = statistics.quantiles(ratios, n=4)
    text = (f"{100 * (statistics.median(ratios) - 1):+.2f} % (95 % interval {100 * (low - 1):+.2f} to {100 * (high - 1):+.2f}; "
            f"half of {len(ratios)} between {100 * (quartiles[0] - 1):+.2f} and {100 * (quartiles[2] - 1):+.2f})")
    return text, low - 1


class Soak(AttachTest):
    cycles, pairs, kills = 200, 60, 20

    def load(self):
        return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"

    def first_record_ms(self, pid, *flags):
        """As the daemon counts it, from the request on."""
        _, said = self.attach(pid, *flags)
        value, unit = re.search(r"first record after ([\d.]+) (us|ms|s)\n", said).groups()
        return float(value) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit]

    def test_1_from_the_command_to_the_first_record(self):
        listening = {"LD_PRELOAD": str(BIN / "libdsocr_agent.so"), "XDG_RUNTIME_DIR": self.env["XDG_RUNTIME_DIR"]}
        clients = []
        for _ in range(FIRST_RECORDS):
            start = time.monotonic()
            self.ctl("--no-start", "status")
            clients.append(1e3 * (time.monotonic() - start))
        client = statistics.median(clients)
        print(f"\na whole 'dsocrctl status', for the client's part: median {client:.0f} ms; {self.load()}")
        for route, env in (("inject", {}), ("agent", listening)):
            job = self.job("toy_job.py", "--width", "256", env=env)
            if route == "agent":
                wait_until(lambda: "agent" in self.routes(job.pid), "the agent to listen")
            self.first_record_ms(job.pid, "--route", route, "--requests", "2")
            first = [self.first_record_ms(job.pid, "--route", route, "--requests", "2") for _ in range(FIRST_RECORDS)]
            median = statistics.median(first)
            print(f"route {route}: first record after {median:.0f} ms of the daemon's (median of {FIRST_RECORDS}; {min(first):.0f} to "
                  f"{max(first):.0f}), {median + client:.0f} ms with the client's part; {self.load()}")
            with self.subTest(route):
                self.assertLess(median + client, FIRST_RECORD_FLOOR_MS)
            job.end()

    def let_run(self, job):
        end = processor_s(job.pid) + WINDOW_CPU_S
        wait_until(lambda: processor_s(job.pid) >= end, "the job to run", seconds=600)

    def test_2_hooks_and_what_is_left_of_them(self):
        """Windows without hooks, without hooks, with hooks, in turn. Those with hooks are compared with the one before or the one after, by
        chance; the first two of a cycle with each other, for what the machine alone does; the first with the one before the hooks of the cycle
        before."""
        chance = random.Random(1)
        job = self.job("heavy_job.py")
        self.attach(job.pid, "--requests", "2")  # the library stays mapped from here on
        seen = len(job.report()["steps"])
        cuts = []
        for _ in range(self.pairs + 1):
            self.let_run(job)
            cuts.append(time.monotonic_ns())
            self.let_run(job)
            self.attach(job.pid, "--requests", WINDOW_STEPS)
        steps = job.end()["steps"][seen:]

        windows, cut = [], iter(cuts + [2**63])  # of [cpu_ns] and [wall_ns] of steps that are alike, in order
        state, end = object(), next(cut)
        for start_ns, end_ns, cpu_ns, is_hooked in steps:
            if is_hooked != state or start_ns > end:
                end = next(cut) if start_ns > end else end
                state = is_hooked
                windows.append((state, [], []))
            windows[-1][1].append(cpu_ns)
            windows[-1][2].append(end_ns - start_ns)
        windows = [(hooked, cpu[2:-2], wall[2:-2]) for hooked, cpu, wall in windows if hooked is not None and len(cpu) >= LEAST_STEPS]

        def ratios(kinds, measure, index):
            """Of the last window to the first, of each run of windows of these kinds."""
            found = []
            for i in range(len(windows) - len(kinds) + 1):
                if [window[0] for window in windows[i:i + len(kinds)]] == kinds:
                    found.append(measure(windows[i + len(kinds) - 1][index]) / measure(windows[i][index]))
            return found

        print(f"\na job whose modules take 1.5 ms or more, {len(windows)} windows, "
              f"{statistics.median(len(window[1]) for window in windows):.0f} steps each; {self.load()}")
        # The fastest step: a window with hooks is short, and the daemon and its client work beside it, on a core that may share its units.
        for name, measure in (("fastest step's processor time", min), ("processor time, medians of windows", statistics.median)):
            before, after = ratios([False, True], measure, 1), [1 / ratio for ratio in ratios([True, False], measure, 1)]
            text, low = as_percent([chance.choice(pair) for pair in zip(before, after)])
            print(f"attached, with the daemon and its client beside, {name}: {text}")
            self.assertLess(low, HOOK_FLOOR)
        for name, measure, index in (("processor time", min, 1), ("time", min, 2)):
            print(f"nothing, fastest step's {name} in a window to that in the one before: {as_percent(ratios([False, False], measure, index))[0]}")
            text, low = as_percent(ratios([False, True, False], measure, index))
            print(f"after a detach, the same to that before the attach: {text}")
            self.assertLess(low, AFTER_FLOOR)

    def test_3_cycles(self):
        job = self.job("toy_job.py", "--width", "256")
        checksum = job.report()["checksum"]
        self.attach(job.pid, "--depth", "all", "--requests", "2")
        left = (comms(job.pid), descriptors(job.pid), mappings(job.pid))
        resident = resident_mib(job.pid)
        for _ in range(self.cycles):
            self.attach(job.pid, "--depth", "all", "--requests", "1")
        now = (comms(job.pid), descriptors(job.pid), mappings(job.pid))
        print(f"\n{self.cycles} cycles: threads, descriptors and mappings {'the same' if now == left else f'{left} -> {now}'}; "
              f"resident {resident:.0f} -> {resident_mib(job.pid):.0f} MiB")
        self.assertEqual(now, left)
        self.assertEqual(job.end()["checksum"], checksum)

    def test_4_a_daemon_that_is_killed_while_it_attaches(self):
        """Every other time while it holds the job's thread, else at any moment from the command to the report."""
        chance = random.Random(1)
        job = self.job("toy_job.py")
        self.attach(job.pid, "--requests", "2")
        checksum, threads = job.report()["checksum"], comms(job.pid)
        held = 0
        for kill in range(self.kills):
            self.ctl("list")  # starts a daemon
            daemon = self.daemon_pid()
            process = self.start("dsocrctl", "attach", str(job.pid), "--route", "inject", "--duration", "200ms")
            if kill % 2 == 0:
                while not tracers(job.pid) and process.poll() is None:
                    pass
                held += bool(tracers(job.pid))
            else:
                time.sleep(chance.uniform(0, 0.5))
            os.kill(daemon, signal.SIGKILL)
            process.communicate(timeout=60)
            wait_until(lambda: not tracers(job.pid) and comms(job.pid) == threads, "the job to be alone", seconds=60)
            job.report()
        print(f"\n{self.kills} daemons killed while they attached, {held} of them while the job's thread was stopped: it runs on")
        self.assertEqual(job.end()["checksum"], checksum)


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    for name, number in zip(("cycles", "pairs", "kills"), numbers):
        setattr(Soak, name, number)
    sys.argv[1:] = [argument for argument in sys.argv[1:] if not argument.isdigit()]  # names of tests
    attach_test.unittest.main()
