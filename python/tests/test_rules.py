import numpy as np
import pytest
import torch
from torch import nn

from polarity_torch import FrozenAdam, Template, apply_rules, dale, edges, free, negative, own, positive


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.ff = nn.Linear(3, 8)
        self.rec = nn.RNN(8, 10)
        self.gain = nn.Parameter(torch.randn(10))


@pytest.fixture
def rnn():
    torch.manual_seed(0)
    return Recurrent()


def test_the_first_pattern_that_matches_decides_and_the_rest_is_free(rnn):
    report = apply_rules({"*bias*": free, "ff.*": positive, "rec.weight_?h_l0": negative, "gain": own}, rnn)
    signs = report.template.signs
    assert (signs("ff.weight") == 1).all() and (signs("rec.weight_hh_l0") == -1).all()
    assert (signs("gain") == np.sign(rnn.gain.detach().numpy())).all()
    assert "ff.bias" not in report.template
    assert report.free == []
    assert apply_rules({"gain": own}, rnn).free == [n for n, _ in rnn.named_parameters() if n != "gain"]


def test_a_report_says_what_decided_each_tensor(rnn):
    report = apply_rules({"ff.*": positive}, rnn)
    assert report.tensors[1].decided == ("ff.*", "positive") and report.tensors[1].held == 24
    assert "no pattern names it" in str(report)


def test_dale_gives_each_presynaptic_unit_one_sign(rnn):
    signs = apply_rules({"rec.weight_hh_l0": dale(0.8, seed=1)}, rnn).template.signs("rec.weight_hh_l0")
    assert sorted(signs[0].tolist()) == [-1, -1] + [1] * 8 and (signs == signs[0]).all()
    units = np.array([1, -1] * 5)
    signs = apply_rules({"rec.weight_hh_l0": dale(units, axis="row")}, rnn).template.signs("rec.weight_hh_l0")
    assert (signs == units[:, None]).all()
    assert (
        apply_rules({"ff.weight": dale(torch.tensor([1.0, 0.0, -1.0]))}, rnn).template.signs("ff.weight") == [1, 0, -1]
    ).all()


def test_edges_come_as_rows_or_as_a_csv_file(rnn, tmp_path):
    rows = [(0, 1, 1), (2, 3, "-")]
    path = tmp_path / "synapses.csv"
    path.write_text("from,to,sign\n0,1,+\n2,3,-1\n")
    expected = np.zeros((10, 10))
    expected[1, 0], expected[3, 2] = 1, -1
    for table in (rows, np.array([(0, 1, 1), (2, 3, -1)]), path, str(path)):
        template = apply_rules({"rec.weight_hh_l0": edges(table)}, rnn).template
        assert (template.signs("rec.weight_hh_l0") == expected).all()


@pytest.mark.parametrize(
    ("rules", "error", "text"),
    [
        ({"ff.wieght": positive}, KeyError, "pattern `ff.wieght`: matches no tensor.*did you mean `ff.weight`"),
        ({"ff.*": positive, "ff.bias": free}, ValueError, "pattern `ff.bias`: decides no tensor"),
        ({"ff.weight": "excitatory"}, ValueError, "ff.weight: expected `positive`"),
        ({"ff.weight": dale(1.5)}, ValueError, "expected a share of positive units"),
        ({"ff.weight": dale([1, -1])}, ValueError, "ff.weight: dale: expected 3 signs"),
        ({"ff.weight": dale([1, 2, 1])}, ValueError, "unit 1: expected 1"),
        ({"ff.weight": dale([1, 1, 1], seed=3)}, ValueError, "seed: is for a share"),
        ({"ff.weight": edges([(0, 9, 1)])}, ValueError, "row 1: to: expected a unit below 8"),
        ({"ff.weight": edges([(0, 1, 1), (0, 1, -1)])}, ValueError, "row 2: the edge from 0 to 1"),
        ({"ff.weight": edges("no-such.csv")}, ValueError, "no-such.csv: cannot be read"),
        ({3: positive}, TypeError, "expected names or patterns"),
        ({"ff.weight": object()}, TypeError, "expected words, numbers and lists"),
        ([("ff.weight", positive)], TypeError, "expected a dict"),
    ],
)
def test_a_wrong_rule_is_refused_by_name(rnn, rules, error, text):
    with pytest.raises(error, match=text):
        apply_rules(rules, rnn)


def test_own_signs_of_nan_are_refused_by_name(rnn):
    with torch.no_grad():
        rnn.gain[3] = float("nan")
    with pytest.raises(ValueError, match="gain: weight 3: has no sign"):
        apply_rules({"gain": own}, rnn)


def test_one_dimensional_tensors_are_held_when_a_rule_names_them(rnn):
    optimizer = FrozenAdam(rnn, lr=0.5, signs={"gain": positive})
    for _ in range(5):
        rnn.gain.grad = torch.randn(10)
        optimizer.step()
    assert (rnn.gain >= 0).all() and optimizer.counts().resets > 0


def test_tied_parameters_take_one_rule():
    net = nn.Module()
    net.a, net.b = nn.Linear(4, 4), nn.Linear(4, 4)
    net.b.weight = net.a.weight
    assert list(apply_rules({"*.weight": dale(0.5)}, net).template) == ["a.weight"]
    assert list(apply_rules({"b.weight": positive}, net).template) == ["b.weight"]
    for rules in ({"a.weight": positive, "b.weight": negative}, {"a.weight": positive, "b.weight": free}):
        with pytest.raises(ValueError, match="`a.weight` and `b.weight` are one parameter"):
            apply_rules(rules, net)


def test_rules_apply_to_a_state_dict(rnn):
    report = apply_rules({"*.weight*": positive}, rnn.state_dict())
    assert isinstance(report.template, Template) and report.template.positive == 1.0
