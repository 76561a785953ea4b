"""The benchmark compares what it says, at the smallest size, and the tables of times are of its measurements."""

import csv
import importlib
from pathlib import Path

import pytest
import torch

from polarity_torch import COMPILED

BENCH = Path(__file__).parent.parent.parent / "benches/pytorch"
#: The ways whose share of resets is theirs, not 1 %; `None` where there is nothing to put back.
OTHER_SHARES = {
    "ours: FrozenAdam, 0 % reset": 0.0,
    "ours: FrozenAdam, 4 % reset": 0.04,
    "ours: FrozenAdam, nothing held": None,
    **dict.fromkeys(("Adam, fused", "Adam, foreach", "Adam, single", "SGD, fused")),
    **dict.fromkeys(("Adam, fused, parametrize abs", "Adam, fused, parametrize softplus")),
}
#: The ways that the tables leave out.
ONLY_IN_THE_FILE = [f"Adam, {form} + {how}" for form in ("foreach", "single") for how in ("in place", "where")]


@pytest.fixture
def bench(monkeypatch):
    """Loads a file of the benchmark by its name."""
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module


def has_fused_adam():
    """PyTorch has it on the CPU from 2.4 on."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    parameter.grad = torch.ones(1)
    try:
        torch.optim.Adam([parameter], fused=True).step()
    except RuntimeError:
        return False
    return True


measures = pytest.mark.skipif(
    not (COMPILED and has_fused_adam()), reason="the benchmark compares the compiled part with PyTorch's fused Adam"
)


@measures
def test_every_way_is_timed_and_puts_back_the_share_that_it_is_said_to(bench, monkeypatch, capsys):
    run, table = bench("run"), bench("table")
    monkeypatch.setattr(run, "LEAST_MS", 0.0)
    rows = run.measured("60k", rounds=2)
    assert {row["way"] for row in rows} == {*table.WAYS, *ONLY_IN_THE_FILE}
    for row in rows:
        assert float(row["ms"]) > 0 and float(row["low_ratio"]) <= float(row["ratio"]) <= float(row["high_ratio"])
        share = float(row["resets"]) if row["resets"] else None
        expected = OTHER_SHARES.get(row["way"], 0.01)
        assert share is None if expected is None else share == pytest.approx(expected, rel=0.2), row["way"]
    said = capsys.readouterr().out
    assert "60k: 60,249 weights in 8 tensors" in said and all(way in said for way in table.WAYS)


@measures
def test_the_ways_in_a_training_come_after_a_real_backward_pass(bench):
    lesson, timing = bench("lesson"), bench("timing")
    weights, tensors, ways, before = lesson.in_a_training("training, 3.8M")
    assert (weights, tensors) == (3_819_274, 16)
    shares = {way.name: timing.timed([ways[0], way], rounds=1, least_ms=0.0)[1].resets for way in ways[3:]}
    assert shares["ours: FrozenAdam, nothing held"] is None
    assert shares["ours: FrozenAdam, 1 % reset"] == pytest.approx(0.01, rel=0.05)
    assert shares["ours: Adam, fused + hold()"] == pytest.approx(0.01, rel=0.05)
    assert shares["ours: FrozenAdam, 4 % reset"] == pytest.approx(0.04, rel=0.05)
    assert len(before) >= len(shares) and min(before) > 0


@measures
def test_a_way_that_leaves_a_weight_on_the_wrong_side_is_found(bench):
    training, ways, timing = bench("training"), bench("ways"), bench("timing")
    usual = training.Training.of("tiny", 0.01)
    forgetful = ways.Way("no underscore", next(ways.by_adam(usual, "fused", fused=True)).step, held=usual.held)
    forgetful.project = lambda: [weight.mul(signs).clamp(min=0) for weight, signs in usual.held]
    with torch.no_grad(), pytest.raises(RuntimeError, match="no underscore: leaves weights on the wrong side"):
        timing.examined(forgetful)


def test_the_shapes_are_those_of_the_networks_that_they_are_said_to_be(bench):
    shapes = bench("training").SHAPES
    weights = {case: sum(torch.Size(shape).numel() for shape in shapes[case]) for case in shapes}
    assert weights == {
        "60k": 60_249,
        "3.8M": 3_819_274,
        "61M": 61_100_840,  # torchvision's AlexNet
        "resnet18": 11_689_512,  # torchvision's ResNet-18
        "tiny": 3_968,
    }
    assert len(shapes["resnet18"]) == len(shapes["tiny"]) == 62


def test_the_tables_of_the_pages_are_of_the_measurements(bench):
    table = bench("table")
    for page in table.PAGES:
        text = page.read_text(encoding="utf-8")
        assert len(table.BLOCK.findall(text)) == 1, page
        assert text == table.renewed(text), f"{page.name}: renew it with benches/pytorch/table.py"


def test_a_table_has_a_row_for_each_way_and_a_column_for_each_case(bench, monkeypatch, tmp_path):
    table = bench("table")
    about = {"rounds": "15", "processor": "A Processor", "threads": "2", "torch": "2.11.0", "polarity_torch": "1"}
    rows = [
        {"case": case, "way": way, "ms": "12.3", "ratio": "0.514", **about}
        for case in table.CASES
        for way in table.WAYS
        if not (case.startswith("training") and "SGD" in way)
    ]
    monkeypatch.setattr(table, "CSV", tmp_path / "pytorch.csv")
    with table.CSV.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    block = "<!-- bench: pytorch{} -->\nyesterday\n<!-- end -->\n".format
    page = f"before\n{block('')}between\n{block(' short')}after\n"
    whole, short = table.renewed(page).split("between")
    assert whole.startswith("before\n<!-- bench: pytorch -->\n| a step") and "yesterday" not in whole
    assert whole.count("\n|") == 2 + len(table.WAYS) + 1
    assert "| **`FrozenSGD`**, a step puts back 1 % | 0.51 | 0.51 | 0.51 | 0.51 | 0.51 |  |" in whole
    assert "| *the fused Adam, ms* | 12.3 | 12.3 | 12.3 | 12.3 | 12.3 | 12.3 |" in whole
    assert "2 threads of A Processor, PyTorch 2.11.0" in whole
    assert short.count("\n|") == 2 + len(table.SHORT_WAYS) + 1 and short.endswith("<!-- end -->\nafter\n")
    assert table.renewed(table.renewed(page)) == table.renewed(page)
