"""Whether a process here may trace its children and take their descriptors, as attaching does: exit code 0, it may."""

import ctypes
import os
import signal

PTRACE_SEIZE = 0x4206
SYS_PIDFD_OPEN, SYS_PIDFD_GETFD = 434, 438

libc = ctypes.CDLL(None)
child = os.fork()
if child == 0:
    while True:
        signal.pause()
try:
    pidfd = libc.syscall(SYS_PIDFD_OPEN, child, 0)
    may = pidfd >= 0 and libc.syscall(SYS_PIDFD_GETFD, pidfd, 1, 0) >= 0 and libc.ptrace(PTRACE_SEIZE, child, None, None) == 0
finally:
    os.kill(child, signal.SIGKILL)
raise SystemExit(0 if may else 1)
