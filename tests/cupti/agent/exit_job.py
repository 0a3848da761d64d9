"""A Python that ends while an agent asks for its GIL: without torch, which the agent looks for again and again.

usage: exit_job.py AGENT MILLISECONDS THREADS CODE
"""

import ctypes
import socket
import struct
import sys
import threading
import time

agent, milliseconds, threads, code = sys.argv[1], *map(int, sys.argv[2:])
WELCOME = struct.pack("<IHHII", 0x5243444f, 2, 2, 0, 1)  # of all that attach, it asks for hooks on stages


def spin():
    while True:
        pass


for _ in range(threads):
    threading.Thread(target=spin, daemon=True).start()
ours, agents = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
if ctypes.CDLL(agent).dsocr_agent_attach(agents.detach()) != 0:
    sys.exit(99)
ours.recv(4096)  # its hello; the ring is not wanted
ours.send(WELCOME)
end = time.monotonic() + milliseconds / 1000
while time.monotonic() < end:
    pass
sys.exit(code)
