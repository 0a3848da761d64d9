"""A small tree of modules: shared ones, one that calls itself, one that raises, one that several threads call."""

import sys
import threading
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
import job  # noqa: E402


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1 = nn.Linear(width, 2 * width)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(2 * width, width)

    def forward(self, x):
        return x + self.fc2(self.act(self.fc1(x)))


class Halving(nn.Module):
    """Calls itself until its input has one row."""

    def __init__(self, width):
        super().__init__()
        self.fc = nn.Linear(width, width)

    def forward(self, x):
        x = self.fc(x)
        return x if x.shape[0] == 1 else self(x[: x.shape[0] // 2]) + 1


class Failing(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc = nn.Linear(width, width)

    def forward(self, x):
        x = self.fc(x)
        if x.shape[0] != 1:
            raise ValueError("more than one row")
        return x


class Toy(nn.Module):
    def __init__(self, width, blocks):
        super().__init__()
        self.blocks = nn.ModuleList([Block(width) for _ in range(blocks)])
        self.again = self.blocks[0]  # another way to the same module
        self.halving = Halving(width)
        self.failing = Failing(width)
        self.head = nn.Linear(width, 8)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        x = self.again(x) + self.halving(x)
        try:
            x = self.failing(x)
        except ValueError:
            x = torch.relu(x)
        return self.head(x)


def main():
    options = job.parser(__doc__)
    options.add_argument("--width", type=int, default=32)
    options.add_argument("--blocks", type=int, default=6)
    options.add_argument("--callers", type=int, default=1, help="threads that call the model at once")
    options = options.parse_args()
    torch.manual_seed(0)
    model = Toy(options.width, options.blocks).eval()
    data = torch.randn(8, options.width)

    def step():
        threads = [threading.Thread(target=lambda: torch.inference_mode()(model)(data)) for _ in range(options.callers - 1)]
        for thread in threads:
            thread.start()
        result = model(data).sum()
        for thread in threads:
            thread.join()
        return result

    job.run(options, model, step)


if __name__ == "__main__":
    main()
