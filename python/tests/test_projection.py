"""The projection by PyTorch's operations, and the numbers that it draws."""

import pytest
import torch
from conftest import bits

from polarity_torch import Reset, _draws, _projection

RESETS = [Reset("uniform"), Reset("zero"), Reset("flip"), Reset("constant", 0.01)]


def test_draws_are_those_of_the_definition():
    """The numbers of the Rust test of this name, which the program above it made."""
    cases = [(0, 0, 0, 0), (1, 2, 3, 4), (2**64 - 1, 10**6, 7, 2**32 + 5)]
    drawn = [_draws.uniform(*case[:3], torch.tensor([case[3]]), case[3] + 1) for case in cases]
    assert [int(draw * 2**24) for draw in drawn] == [836_044, 11_640_943, 4_933_465]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("reset", RESETS, ids=lambda reset: reset.rule)
@pytest.mark.parametrize("shape", [(), (5,), (7, 3), (4, 3, 2, 2)])
def test_all_weights_at_once_get_what_the_violators_alone_get(dtype, reset, shape):
    generator = torch.Generator().manual_seed(1)
    signs = torch.randint(-1, 2, shape, generator=generator, dtype=torch.int8)
    weight = torch.randn(shape, generator=generator).to(dtype)
    weight.view(-1)[::4] = torch.tensor([0.0, -0.0, float("nan"), float("inf")]).repeat(20)[: len(weight.view(-1)[::4])]
    other = weight.clone()
    count = _projection.project_sparsely(weight, signs, reset, 3, 5, 7)
    assert int(_projection.project_densely(other, signs, reset, 3, 5, 7)) == count
    same = (weight == other) | (weight.isnan() & other.isnan())
    assert bool(same.all()) and not bool(_projection.violators(weight, signs).any())


def test_pieces_change_no_draw(monkeypatch):
    like = torch.empty(50, 41)
    whole = _draws.uniform_for_all(3, 5, 7, like)
    monkeypatch.setattr(_draws, "PIECE", 64)
    assert torch.equal(bits(whole), bits(_draws.uniform_for_all(3, 5, 7, like)))
    index = torch.arange(like.numel())
    assert torch.equal(bits(whole.flatten()), bits(_draws.uniform(3, 5, 7, index, like.numel())))


def test_draws_beyond_four_thousand_million_weights_have_another_key():
    near, far = torch.tensor([5]), torch.tensor([2**32 + 5])
    both = _draws.uniform(1, 2, 3, torch.cat([near, far]), 2**33)
    assert both[0] != both[1] and both[0] == _draws.uniform(1, 2, 3, near, 6)[0]
