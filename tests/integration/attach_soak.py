"""The floors of attach at full length, on one busy PyTorch job: cycles of attach and detach, the time to the first record, and what is left.

usage: attach_soak.py [CYCLES]   `make soak` calls it
"""

import re
import statistics
import sys
import time

import attach_test
from attach_test import AttachTest, Job, comms, descriptors

FIRST_RECORDS = 20
PAIRS = 60  # of windows with nobody attached: one before, one after an attach; neighbours on the machine make single ones worthless
WINDOW_S = 0.3


def mappings(pid):
    """Of files, and of code: what the job itself allocates comes and goes."""
    with open(f"/proc/{pid}/maps") as lines:
        fields = [line.split(maxsplit=5) for line in lines]
    return sorted((field[1], field[5].strip() if len(field) > 5 else "") for field in fields if len(field) > 5 or "x" in field[1])


def resident_mib(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) / 1024


class Soak(AttachTest):
    cycles = 200

    def test_cycles(self):
        job = Job("toy_job.py", "--width", "256")
        seen = 0

        def fastest_step():
            """Of the steps since the last time, in microseconds."""
            nonlocal seen
            steps = job.report()["steps"]
            fresh, seen = steps[seen:], len(steps)
            return min(end - start for start, end in fresh) / 1e3

        def one(*flags):
            _, said = self.attach(job.pid, "--depth", "all", *flags)
            value, unit = re.search(r"first record after ([\d.]+) (us|ms|s)\n", said).groups()
            return float(value) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit]

        checksum = job.report()["checksum"]
        one("--requests", "2")  # the library stays mapped from here on
        left = (comms(job.pid), descriptors(job.pid), mappings(job.pid))
        first = [one("--requests", "2") for _ in range(FIRST_RECORDS)]
        print(f"first record after {statistics.median(first):.0f} ms (median of {FIRST_RECORDS}; {min(first):.0f} to {max(first):.0f} ms)")

        def fastest_step_alone():
            fastest_step()
            time.sleep(WINDOW_S)
            return fastest_step()

        ratios = []
        for _ in range(PAIRS):
            before = fastest_step_alone()
            one("--requests", "2")
            ratios.append(fastest_step_alone() / before)
        print(f"fastest step after an attach / before it: median {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}, {PAIRS} pairs)")

        resident = resident_mib(job.pid)
        for _ in range(self.cycles):
            one("--requests", "1")
        now = (comms(job.pid), descriptors(job.pid), mappings(job.pid))
        print(f"{self.cycles} cycles: threads, descriptors and mappings {'the same' if now == left else f'{left} -> {now}'}; "
              f"resident {resident:.0f} -> {resident_mib(job.pid):.0f} MiB")
        self.assertEqual(now, left)
        self.assertEqual(job.end()["checksum"], checksum)


if __name__ == "__main__":
    Soak.cycles = int(sys.argv.pop()) if len(sys.argv) > 1 else Soak.cycles
    attach_test.unittest.main()
