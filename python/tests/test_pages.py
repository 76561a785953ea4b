"""The Python of the pages for users runs: each page from top to bottom, as its reader would."""

import re
from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

ROOT = Path(__file__).parent.parent.parent
PAGES = ["README.md", "python/README.md", "docs/pytorch.md"]


def blocks(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT / "python/examples"))
    names = {"__name__": page, "net": import_module("alexnet_signs").alexnet(classes=10)}
    for number, block in enumerate(blocks(page), 1):
        exec(compile(block, f"{page}, block {number}", "exec"), names)


def test_there_are_blocks_to_run():
    assert [min(len(blocks(page)), 3) for page in PAGES] == [1, 3, 3]


class Of(nn.Module):
    """A weight as a function of free numbers."""

    def __init__(self, function, inverse):
        super().__init__()
        self.function, self.right_inverse = function, inverse

    def forward(self, free):
        return self.function(free)


def trained_on_nothing(function, inverse, start, **decay):
    """A weight that begins at `start`, after steps of AdamW whose gradients draw it up by next to nothing."""
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, start)
    parametrize.register_parametrization(layer, "weight", Of(function, inverse))
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1, eps=1.0, **decay)
    for _ in range(200):
        optimizer.zero_grad()
        (-1e-3 * layer.weight).sum().backward()
        optimizer.step()
    return layer.weight.item()


def test_decay_under_softplus_draws_weights_to_log_2():
    inverse = lambda weight: weight.expm1().log()
    for start in (0.01, 3.0):
        end = trained_on_nothing(nn.functional.softplus, inverse, start, weight_decay=1.0)
        assert end == pytest.approx(0.693, abs=0.01)


def test_a_weight_under_relu_that_came_below_zero_stays_there_and_one_above_does_not():
    same = lambda weight: weight
    assert trained_on_nothing(torch.relu, same, -0.1, weight_decay=0.0) == 0
    assert trained_on_nothing(torch.relu, same, 0.1, weight_decay=0.0) > 0.1


def test_a_weight_of_zero_has_no_sign_to_freeze():
    """The page's words of EG_optimiser's SGD, whose rules are these."""
    weight = torch.zeros(1)
    before = weight.sign()
    weight.add_(torch.ones(1), alpha=-0.1)
    assert not (before * weight < 0) and weight < 0  # nothing to put back
    assert (torch.zeros(1) * torch.exp(torch.zeros(1).sign() * 0.1)) == 0  # and a product stays 0
    assert torch.tensor(1e-18).half() == 0
