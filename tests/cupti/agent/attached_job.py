"""Runs a job that attaches to itself: attached_job.py LIBRARY DEPTH START_S SECONDS RECORDS -- JOB [ARGUMENT…].

After the job said "ready", a thread waits START_S, attaches for SECONDS with that depth, writes the records, and says one line of JSON on
stderr: what came of it, and what of the hooks is still there afterwards.
"""

import builtins
import ctypes
import gc
import json
import runpy
import sys
import threading
import time
import types

library, depth, start_s, seconds, records = sys.argv[1:6]
session = ctypes.CDLL(library)
ready = threading.Event()
say = print
DEADLINE_S = 30


def noticing(*words, **options):
    say(*words, **options)
    if words == ("ready",):
        ready.set()


def hooks_left():
    torch = sys.modules["torch"]
    gc.collect()
    left = sum(issubclass(type(thing), torch.nn.Module) and bool(thing._forward_hooks or thing._forward_pre_hooks) or
               type(thing) is types.FunctionType and thing.__code__.co_filename.endswith("/dsocr") for thing in gc.get_objects())
    return left + bool(torch.nn.modules.module._has_any_global_hook())


def attach():
    ready.wait()
    time.sleep(float(start_s))
    begin = time.monotonic_ns()
    state = session.session_attach(int(depth), True)
    installed = time.monotonic_ns()
    deadline = time.monotonic() + float(seconds)
    while time.monotonic() < deadline:
        time.sleep(min(0.2, max(0.0, deadline - time.monotonic())))
        session.session_poll()
    end = time.monotonic_ns()
    removed = session.session_detach(5000)
    gone = time.monotonic_ns()
    left = hooks_left()
    deadline = time.monotonic() + DEADLINE_S
    while left and time.monotonic() < deadline:  # a call under way holds the hook that it has just run
        time.sleep(0.1)
        left = hooks_left()
    print(json.dumps({"state": state, "removed": removed, "begin": begin, "installed": installed, "end": end, "gone": gone, "left": left,
                      "records": session.session_records(records.encode())}), file=sys.stderr, flush=True)


builtins.print = noticing
threading.Thread(target=attach, daemon=True).start()
sys.argv = sys.argv[7:]
runpy.run_path(sys.argv[0], run_name="__main__")
