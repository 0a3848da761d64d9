"""Python processes that end while an agent attaches: each ends with its own code, and none hangs.

usage: python_exit_test.py [PROCESSES]    50 in `make soak`
"""

import os
import pathlib
import subprocess
import sys

PROCESSES = int(sys.argv[1]) if len(sys.argv) > 1 else 50
DEADLINE_S = 120

for i in range(PROCESSES):
    milliseconds, threads, code = i * 13 % 130, i % 3, i % 5
    command = [sys.executable, pathlib.Path(__file__).parent / "exit_job.py", os.environ["DSOCR_AGENT_LIBRARY"],
               str(milliseconds), str(threads), str(code)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=DEADLINE_S)
    if (ended.returncode, ended.stdout) != (code, ""):
        sys.exit(f"process {i}, {milliseconds} ms, {threads} threads: ended with {ended.returncode}, not {code}: {ended.stdout}")
print(f"{PROCESSES} of {PROCESSES} ended as they meant to")
