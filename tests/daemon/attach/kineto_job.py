"""A job that does nothing special: modules called in a loop, until it is killed.

usage: kineto_job.py FILE    FILE is made when the loop is running
"""

import pathlib
import sys

import torch


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.up = torch.nn.Linear(16, 32)
        self.down = torch.nn.Linear(32, 16)

    def forward(self, x):
        return x + self.down(torch.relu(self.up(x)))


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = torch.nn.ModuleList(Block() for _ in range(2))

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


torch.set_num_threads(1)
net = Net()
with torch.no_grad():
    net(torch.ones(4, 16))
    pathlib.Path(sys.argv[1]).touch()
    while True:
        net(torch.ones(4, 16))
