"""A job that was started without KINETO_USE_DAEMON. It calls a module in a loop until it is told to end.

usage: late_kineto_job.py DIRECTORY [profiled]    DIRECTORY/running is made when the loop is running; at SIGUSR1 the job uses
torch.profiler and writes how many events it saw to DIRECTORY/events. profiled: it has used torch.profiler before.
"""

import os
import pathlib
import signal
import sys

import torch

directory = pathlib.Path(sys.argv[1])
net = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.ReLU(), torch.nn.Linear(32, 16))
wants_profile = "profiled" in sys.argv


def note(name, text):
    (directory / (name + ".part")).write_text(text)
    os.rename(directory / (name + ".part"), directory / name)


def ask(*_):
    global wants_profile
    wants_profile = True


signal.signal(signal.SIGUSR1, ask)
torch.set_num_threads(1)
is_first = True
with torch.no_grad():
    while True:
        if wants_profile:
            wants_profile = False
            with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
                net(torch.ones(4, 16))
            note("events", f"{len(profile.key_averages())} {os.environ.get('KINETO_USE_DAEMON')}")
        net(torch.ones(4, 16))
        if is_first:
            is_first = False
            note("running", "")
