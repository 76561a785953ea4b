"""Whole training steps of an AlexNet: what comes before the optimizer's step leaves cold caches and the threads of
PyTorch's own pool awake, as in a training and unlike in a loop of steps.

Forward and backward pass are real; the gradients are then replaced by those of `training`, so that a step resets what
it is to reset.
"""

from __future__ import annotations

import time

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from training import Training
from ways import Way, by_adam, frozen_adam, hooked

#: Hidden units, classes, pixels and batch of each case, by its name.
LESSONS = {"training, 3.8M": (144, 10, 64, 25), "training, 61M": (4096, 1000, 224, 32)}


def in_a_training(case: str) -> tuple[int, int, list[Way], list[float]]:
    """How many weights and tensors a case has, the ways to step them, and where the milliseconds of what comes before
    each step will be noted."""
    lessons = [Lesson(case, share) for share in (0.01, 0.04)]
    usual, more = (lesson.training for lesson in lessons)
    ways = [*by_adam(usual, "fused", fused=True), frozen_adam(usual, None), frozen_adam(usual, 1), hooked(usual)]
    for way in ways:
        way.before = lessons[0].before_the_step
    ways.append(frozen_adam(more, 4))
    ways[-1].before = lessons[1].before_the_step
    return usual.weights, len(usual.parameters), ways, lessons[0].milliseconds


class Lesson:
    """A network and a batch that it learns from."""

    def __init__(self, case: str, share: float) -> None:
        hidden, classes, pixels, batch = LESSONS[case]
        self.net = alexnet(hidden, classes)
        self.training = Training(list(self.net.parameters()), share)
        self.images = torch.rand(batch, 3, pixels, pixels)
        self.labels = torch.arange(batch) % classes
        self.milliseconds: list[float] = []

    @torch.enable_grad()
    def before_the_step(self) -> None:
        """The forward and backward pass; notes how long they took."""
        start = time.perf_counter()
        loss = cross_entropy(self.net(self.images), self.labels)
        self.net.zero_grad()
        loss.backward()
        self.milliseconds.append(1e3 * (time.perf_counter() - start))
        with torch.no_grad():
            self.training.push()


def alexnet(hidden: int, classes: int) -> nn.Sequential:
    """torchvision's AlexNet, with hidden layers of this width."""
    relu, pool = lambda: nn.ReLU(inplace=True), lambda: nn.MaxPool2d(3, 2)
    return nn.Sequential(
        *(nn.Conv2d(3, 64, 11, stride=4, padding=2), relu(), pool()),
        *(nn.Conv2d(64, 192, 5, padding=2), relu(), pool()),
        *(nn.Conv2d(192, 384, 3, padding=1), relu()),
        *(nn.Conv2d(384, 256, 3, padding=1), relu()),
        *(nn.Conv2d(256, 256, 3, padding=1), relu(), pool()),
        *(nn.AdaptiveAvgPool2d(6), nn.Flatten()),
        *(nn.Dropout(), nn.Linear(9216, hidden), relu()),
        *(nn.Dropout(), nn.Linear(hidden, hidden), relu()),
        nn.Linear(hidden, classes),
    )
