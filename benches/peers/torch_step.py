"""A training step of torchvision's AlexNet in PyTorch: fused Adam, eager.

    python3 torch_step.py [THREADS]                   224 px, batch 32, on the CPU
    python3 torch_step.py THREADS DEVICE SIDE BATCH   another shape, on another device: `cuda:0 227 256`

One JSON object: milliseconds a step, medians of 5 on the CPU and of 15 elsewhere.

Layers as in `torchvision/models/alexnet.py`, written out so that torchvision is not needed.
"""

import json
import statistics
import sys
import time

import torch
from torch import nn


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
    device, side, batch = sys.argv[2:5] if len(sys.argv) > 2 else ("cpu", 224, 32)
    device, side, batch = torch.device(device), int(side), int(batch)
    rounds = 5 if device.type == "cpu" else 15
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    # float32 is float32, as ours is: PyTorch would round the factors of convolutions to TF32.
    torch.backends.cudnn.allow_tf32 = False
    images = torch.rand(batch, 3, side, side, device=device)
    labels = torch.arange(batch, device=device) % 1000
    net = alexnet().to(device)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    loss_of = nn.CrossEntropyLoss()
    whole, update = [], []
    for number in range(rounds + 1):
        wait()
        start = time.perf_counter()
        loss = loss_of(net(images), labels)
        optimizer.zero_grad()
        loss.backward()
        wait()
        middle = time.perf_counter()
        optimizer.step()
        wait()
        end = time.perf_counter()
        if number:
            whole.append(1e3 * (end - start))
            update.append(1e3 * (end - middle))
    result = {"step": statistics.median(whole), "optimizer": statistics.median(update)}
    print(json.dumps({"torch": torch.__version__, "threads": threads, **result}))


if __name__ == "__main__":
    main()
