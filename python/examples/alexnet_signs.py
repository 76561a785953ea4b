"""The signs of ImageNet's AlexNet, one bit a weight, in a fresh network that learns Fashion-MNIST from few images.

    polarity data fetch fashion-mnist
    python alexnet_signs.py

Three networks with the same fresh magnitudes: one holds ImageNet's signs, one the same signs shuffled within each
tensor, one is ordinary. One seed says little: the five of `experiments/demo.yaml`, the same study in the Rust program,
erred on 55 %, 59 % and 68 % (medians, with their intervals in `results/demo/report.md`).
"""

import argparse
from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

import images
from polarity_torch import FrozenAdam, Template, transfer_signs


def main(words: list[str] | None = None) -> dict[str, tuple[nn.Module, Template | None]]:
    options = parse(words)
    imagenet = Template.load("alexnet-imagenet")
    print(imagenet)
    arms = {"ImageNet's signs": imagenet, "the same, shuffled": imagenet.shuffle(options.seed), "no sign held": None}
    trained = {}
    for arm, template in arms.items():
        torch.manual_seed(options.seed)
        net = alexnet(classes=10)
        signs = None if template is None else transfer_signs(template, net).template
        train(net, FrozenAdam(net, lr=1e-3, signs=signs), options)
        print(f"{arm:<20} {100 * error(net, options):5.1f} % errors, {wrong(net, signs)} weights on the wrong side")
        trained[arm] = net, signs
    return trained


def train(net: nn.Module, optimizer: torch.optim.Optimizer, options: argparse.Namespace) -> None:
    grey, labels = images.load("fashion-mnist", "train", options.images, options.seed)
    inputs = as_imagenet(grey)
    for _ in range(options.steps):
        batch = torch.randint(len(inputs), (25,))
        optimizer.zero_grad()
        cross_entropy(net(inputs[batch]), labels[batch]).backward()
        optimizer.step()


@torch.no_grad()
def error(net: nn.Module, options: argparse.Namespace) -> float:
    """The share of test images that the network gets wrong."""
    grey, labels = images.load("fashion-mnist", "t10k", options.tested)
    answers = [net.eval()(as_imagenet(part)).argmax(1) for part in grey.split(100)]
    return float((torch.cat(answers) != labels).float().mean())


def wrong(net: nn.Module, signs: Template | None) -> int:
    """How many held weights have the other sign than they should, by PyTorch alone."""
    weights = dict(net.named_parameters())
    return sum(int((weights[name] * torch.tensor(signs.signs(name)) < 0).sum()) for name in signs or ())


def alexnet(classes: int) -> nn.Module:
    """torchvision's AlexNet under its names, with a narrow head."""
    relu, pool = nn.ReLU, lambda: nn.MaxPool2d(3, 2)
    features = [nn.Conv2d(3, 64, 11, stride=4, padding=2), relu(), pool()]
    features += [nn.Conv2d(64, 192, 5, padding=2), relu(), pool()]
    features += [nn.Conv2d(192, 384, 3, padding=1), relu(), nn.Conv2d(384, 256, 3, padding=1), relu()]
    features += [nn.Conv2d(256, 256, 3, padding=1), relu(), pool(), nn.AdaptiveAvgPool2d(6), nn.Flatten()]
    head = [nn.Dropout(), nn.Linear(9216, 256), relu(), nn.Dropout(), nn.Linear(256, 256), relu()]
    head += [nn.Linear(256, classes)]
    return nn.Sequential(OrderedDict(features=nn.Sequential(*features), classifier=nn.Sequential(*head)))


def as_imagenet(grey: Tensor) -> Tensor:
    """Grey images `[n, 28, 28]` as networks of ImageNet see them: 64 px, three channels, its mean and deviation."""
    mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 1, 3, 1, 1)
    return (interpolate(grey[:, None], size=64, mode="bilinear").expand(-1, 3, -1, -1) - mean) / deviation


def parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100, help="images to learn from")
    parser.add_argument("--tested", type=int, default=2000, help="images to test on")
    parser.add_argument("--steps", type=int, default=64, help="optimizer steps, of 25 images each")
    parser.add_argument("--seed", type=int, default=0, help="of magnitudes, images and shuffling")
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
