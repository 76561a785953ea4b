"""One step of PyTorch's Adam over the weights of torchvision's AlexNet, alone and with signs held.

    python3 torch_adam.py [THREADS]       one JSON object: milliseconds, medians of 12 rounds in turn

The same weights, gradients and reset rule as `polarity bench`: 61,100,840 weights and biases, random
resets below 0.001. Holding is written three ways: `where` with random numbers (the paper's rule),
`where` with a constant, and the fastest found, in-place products and a clamp (which resets to zero).
"""

import json
import statistics
import sys
import time

import torch

ROUNDS = 12
LEARNING_RATE = 2e-6
SHAPES = [
    (64, 3, 11, 11), (64,), (192, 64, 5, 5), (192,), (384, 192, 3, 3), (384,), (256, 384, 3, 3),
    (256,), (256, 256, 3, 3), (256,), (4096, 9216), (4096,), (4096, 4096), (4096,), (1000, 4096), (1000,),
]


def parameters():
    made = []
    for shape in SHAPES:
        fan_in = torch.Size(shape[1:]).numel() if len(shape) > 1 else shape[0]
        weight = torch.nn.Parameter(torch.empty(shape).uniform_(-(fan_in**-0.5), fan_in**-0.5))
        weight.grad = torch.rand(shape) - 0.5
        made.append(weight)
    return made


def by_where(held):
    for weight, sign in held:
        reset = sign * torch.rand_like(weight) * 1e-3
        weight.copy_(torch.where(weight * sign < 0, reset, weight))


def by_constant(held):
    for weight, sign in held:
        weight.copy_(torch.where(weight * sign < 0, sign * 1e-3, weight))


def by_clamp(held):
    for weight, sign in held:
        weight.mul_(sign).clamp_(min=0).mul_(sign)


def contenders():
    weights = parameters()
    held = [(w.detach(), w.detach().sign()) for w in weights if w.dim() > 1]
    adam = lambda **kind: torch.optim.Adam(weights, lr=LEARNING_RATE, **kind).step
    kinds = {"single": dict(foreach=False), "foreach": dict(foreach=True), "fused": dict(fused=True)}
    for name, kind in kinds.items():
        yield f"adam_{name}", adam(**kind)
        yield f"adam_{name}_clamp", both(adam(**kind), by_clamp, held)
        yield f"adam_{name}_constant", both(adam(**kind), by_constant, held)
        yield f"adam_{name}_where", both(adam(**kind), by_where, held)


def both(step, project, held):
    def run():
        step()
        project(held)

    return run


def main():
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else torch.get_num_threads()
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    works = dict(contenders())
    times = {name: [] for name in works}
    with torch.no_grad():
        for number in range(ROUNDS + 1):
            for name, work in works.items():
                start = time.perf_counter()
                work()
                if number:
                    times[name].append(1e3 * (time.perf_counter() - start))
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(json.dumps({"torch": torch.__version__, "threads": threads, **medians}))


if __name__ == "__main__":
    main()
