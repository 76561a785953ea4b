"""A training step of torchvision's AlexNet in PyTorch: 224 px, batch 32, fused Adam, eager.

    python3 torch_step.py [THREADS]       one JSON object: milliseconds a step, medians of 5

Layers as in `torchvision/models/alexnet.py`, written out so that torchvision is not needed.
"""

import json
import statistics
import sys
import time

import torch
from torch import nn

ROUNDS = 5
BATCH = 32


def alexnet():
    relu, pool = lambda: nn.ReLU(inplace=True), lambda: nn.MaxPool2d(3, 2)
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2), relu(), pool(),
        nn.Conv2d(64, 192, 5, padding=2), relu(), pool(),
        nn.Conv2d(192, 384, 3, padding=1), relu(),
        nn.Conv2d(384, 256, 3, padding=1), relu(),
        nn.Conv2d(256, 256, 3, padding=1), relu(), pool(),
        nn.AdaptiveAvgPool2d(6), nn.Flatten(),
        nn.Dropout(0.5), nn.Linear(9216, 4096), relu(),
        nn.Dropout(0.5), nn.Linear(4096, 4096), relu(),
        nn.Linear(4096, 1000),
    )  # fmt: skip


def main():
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else torch.get_num_threads()
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    images, labels = torch.rand(BATCH, 3, 224, 224), torch.arange(BATCH)
    net = alexnet()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    loss_of = nn.CrossEntropyLoss()
    whole, update = [], []
    for number in range(ROUNDS + 1):
        start = time.perf_counter()
        loss = loss_of(net(images), labels)
        optimizer.zero_grad()
        loss.backward()
        middle = time.perf_counter()
        optimizer.step()
        end = time.perf_counter()
        if number:
            whole.append(1e3 * (end - start))
            update.append(1e3 * (end - middle))
    result = {"step": statistics.median(whole), "optimizer": statistics.median(update)}
    print(json.dumps({"torch": torch.__version__, "threads": threads, **result}))


if __name__ == "__main__":
    main()
