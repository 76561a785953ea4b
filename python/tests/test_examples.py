"""The examples do what they say, at small size and without the network: made-up images stand for the real ones."""

import importlib
from pathlib import Path

import pytest
import torch
from conftest import violators

from polarity_torch import Template

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def example(monkeypatch):
    """Loads an example by its name."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """A cache in which both data sets are: 60 images of a bright row each, whose place is the label."""
    labels = torch.arange(60) % 10
    images = torch.randint(50, (60, 28, 28), generator=torch.Generator().manual_seed(0))
    images[torch.arange(60), 2 * labels + 4] = 255
    for name in ("mnist", "fashion-mnist"):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        for part in ("train", "t10k"):
            (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
            (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels))
    monkeypatch.setenv("POLARITY_CACHE", str(tmp_path))
    return tmp_path


def idx(tensor):
    """A tensor of small whole numbers as a file in MNIST's format."""
    sizes = b"".join(size.to_bytes(4, "big") for size in tensor.shape)
    return bytes([0, 0, 8, tensor.dim()]) + sizes + bytes(tensor.flatten().tolist())


def test_networks_with_imagenets_signs_keep_them(example, cache, capsys):
    arms = example("alexnet_signs").main("--images 50 --tested 20 --steps 3".split())
    imagenet = Template.load("alexnet-imagenet")
    held, signs = arms["ImageNet's signs"]
    assert violators(held, imagenet) == 0
    assert violators(held, signs) == 0 and signs.weights > imagenet.weights
    shuffled, signs = arms["the same, shuffled"]
    assert violators(shuffled, signs) == 0 and violators(shuffled, imagenet) > 1_000_000
    fluid, signs = arms["no sign held"]
    assert signs is None and violators(fluid, imagenet) > 1_000_000
    assert capsys.readouterr().out.count(" 0 weights on the wrong side") == 3


def test_every_unit_of_the_recurrent_network_obeys_dales_law(example, cache, capsys):
    net, cells = example("dale_rnn").main("--images 60 --tested 60 --steps 60 --units 40".split())
    assert cells.tolist().count(-1) == 8
    for weight in (net.rec.weight, net.readout.weight):
        assert ((weight * cells) >= 0).all() and (weight != 0).float().mean() > 0.5
    said = capsys.readouterr().out
    assert "rec.weight: 40 of 40 columns have one sign" in said
    errors, resets = said.split(" % errors, ")
    assert float(errors.split()[-1]) < 50, "nothing was learned"
    assert int(resets.split()[0]) > 0, "no step tried to leave a side: nothing was held"


def test_the_convex_network_is_convex_and_its_free_twin_is_not(example):
    convex = example("convex")
    nets = convex.main("--points 60 --steps 600 --chords 2000".split())
    held, free = nets["held"], nets["free"]
    assert (held.hidden.weight >= 0).all() and (held.out.weight >= 0).all()
    assert (free.hidden.weight < 0).any()
    assert convex.above_chords(held, 20000) == (0.0, 0.0)
    share, worst = convex.above_chords(free, 20000)
    assert share > 0.001 and worst > 0.01
    assert convex.test_error(held) < 0.7, "nothing was learned: the values have a deviation of 1"


def test_images_that_are_missing_damaged_or_too_few_are_said_with_the_way_out(example, cache):
    images = example("images")
    with pytest.raises(SystemExit, match="--images: expected 1 to 60, as many as mnist has, got 61"):
        images.load("mnist", "train", 61)
    file = cache / "data/mnist/train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(SystemExit, match="damaged; get it again with `polarity data fetch mnist`"):
        images.load("mnist", "train", 10)
    file.unlink()
    with pytest.raises(SystemExit, match="missing; get it with `polarity data fetch mnist`"):
        images.load("mnist", "train", 10)


def test_the_loader_gives_back_each_image_with_its_label(example, cache):
    images, labels = example("images").load("fashion-mnist", "t10k", 60, seed=3)
    assert images.shape == (60, 28, 28) and images.max() == 1.0
    assert torch.equal(images.mean(2).argmax(1), 2 * labels + 4)
    again, _ = example("images").load("fashion-mnist", "t10k", 60, seed=3)
    other, _ = example("images").load("fashion-mnist", "t10k", 60, seed=4)
    assert torch.equal(images, again) and not torch.equal(images, other)
