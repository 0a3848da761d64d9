"""A row of modules that take a millisecond or more each: what hooks on stages cost is measured against these."""

import sys
import time
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
import job  # noqa: E402

LEAST_MS = 1.5  # of a module on an idle core


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1 = nn.Linear(width, width)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(width, width)

    def forward(self, x):
        return x + self.fc2(self.act(self.fc1(x)))


class Heavy(nn.Module):
    def __init__(self, width, blocks):
        super().__init__()
        self.blocks = nn.ModuleList([Block(width) for _ in range(blocks)])

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


def milliseconds(block, data):
    """Of its fastest call."""
    times = []
    for _ in range(10):
        start = time.perf_counter()
        block(data)
        times.append(1e3 * (time.perf_counter() - start))
    return min(times)


def model_and_data(width, blocks):
    """So many rows that a block takes LEAST_MS."""
    model = Heavy(width, blocks).eval()
    data = torch.randn(16, width)
    with torch.inference_mode():
        while milliseconds(model.blocks[0], data) < LEAST_MS:
            data = torch.cat([data, data])
    return model, data


def main():
    options = job.parser(__doc__)
    options.add_argument("--width", type=int, default=256)
    options.add_argument("--blocks", type=int, default=6)
    options = options.parse_args()
    torch.set_num_threads(options.torch_threads)
    torch.manual_seed(0)
    model, data = model_and_data(options.width, options.blocks)
    job.run(options, model, lambda: model(data).mean())


if __name__ == "__main__":
    main()
