"""The check, the transfer, and the start of one-sided layers."""

import math

import pytest
import torch
from conftest import same_bits, violators, weights
from torch import nn

from polarity_torch import (
    Template,
    assert_held,
    check,
    free,
    init_one_sided,
    negative,
    positive,
    transfer_signs,
)


def test_a_check_names_every_violator_with_its_first_index(net):
    template = Template.from_module(net)
    assert check(net, template) and str(check(net, template)) == "no violator among 938 held weights"
    assert_held(net, template)
    with torch.no_grad():
        net[3].weight[2, 1, 0, 2] *= -1
        net[3].weight[4] *= -1
    report = check(net, template)
    assert not report and report.count == 1 + 54 and list(report.violations) == ["3.weight"]
    violation = report.violations["3.weight"]
    assert violation.first == (2, 1, 0, 2) and violation.value == float(net[3].weight[2, 1, 0, 2].detach())
    with pytest.raises(AssertionError, match=r"3.weight: 55, the first at \[2, 1, 0, 2\]"):
        assert_held(net, template)


def test_a_checkpoint_is_checked_without_a_module(net, tmp_path):
    torch.save(net.state_dict(), tmp_path / "model.pth")
    assert check(torch.load(tmp_path / "model.pth", weights_only=True), Template.from_module(net))


def test_rules_and_files_are_checked_as_templates_are(net, tmp_path):
    Template.from_module(net).save(tmp_path / "t.safetensors")
    assert check(net, str(tmp_path / "t.safetensors"))
    assert not check(net, {"0.weight": positive})


def test_zero_nan_and_free_weights_are_no_violators():
    net = nn.Linear(4, 1, bias=False)
    template = Template.from_signs({"weight": [[1, 1, -1, 0]]}, "a test")
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[0.0, float("nan"), -0.0, -5.0]]))
    assert check(net, template) and check(net, template).held == 3


def test_what_cannot_be_checked_is_refused_by_name(net):
    with pytest.raises(KeyError, match="features.0.weight"):
        check(net, "alexnet-imagenet")
    with pytest.raises(ValueError, match=r"0.weight: the network has shape \(6, 2, 3, 3\)"):
        check(net, Template.from_module(nn.Sequential(nn.Linear(2, 2))))
    with pytest.raises(TypeError, match="module: expected"):
        check(3, Template.from_module(net))


def test_a_transfer_gives_signs_and_keeps_magnitudes(net, twin):
    template = Template.random(net, 3)
    report = transfer_signs(template, net)
    assert violators(net, template) == 0
    assert same_bits([w.abs() for w in weights(net)], [w.abs() for w in weights(twin)])
    assert [taken.name for taken in report.taken] == list(template) and report.left == {}
    changed = sum(taken.changed for taken in report.taken)
    assert changed == violators(twin, template) and report.template.digest == template.digest


def test_a_transfer_names_all_that_was_left_and_why(net):
    theirs = nn.Sequential(nn.Conv2d(2, 6, 3), nn.Linear(3, 3))
    source = Template.from_module(nn.ModuleDict({"body": theirs}))
    report = transfer_signs(source, net, rename={"body.0": "0"}, leave=["6"])
    assert [(taken.name, taken.source) for taken in report.taken] == [("0.weight", "body.0.weight")]
    assert report.left == {
        "3.weight": "the template lacks it",
        "6.weight": "it is to be left",
        "body.1.weight": "the network lacks it",
    }
    assert check(net, report.template) and list(report.template) == ["0.weight", "3.weight", "6.weight"]
    assert "0.weight: " in str(report) and "body.1.weight: left, the network lacks it" in str(report)


def test_zeros_stay_and_free_weights_keep_their_signs():
    net = nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[0.0, -2.0, 3.0, -4.0]]))
    transfer_signs(Template.from_signs({"weight": [[-1, 1, -1, 0]]}, "a test"), net)
    assert net.weight.tolist() == [[0.0, 2.0, -3.0, -4.0]]


def test_a_transfer_that_does_not_fit_changes_nothing(net, twin):
    shapes = Template.from_module(nn.Sequential(nn.Conv2d(2, 6, 5)))
    other = Template.random(net, 1)
    for refused, error, text in [
        (lambda: transfer_signs(shapes, net), ValueError, "0.weight: the network has shape"),
        (lambda: transfer_signs("alexnet-imagenet", net), KeyError, "no tensor of the template is in the network"),
        (lambda: transfer_signs(other, net, leave=["7"]), KeyError, "leave: `7` is no layer"),
        (
            lambda: transfer_signs(
                Template.from_signs({"a.weight": torch.ones(6, 2, 3, 3), "b.weight": -torch.ones(6, 2, 3, 3)}, "t"),
                net,
                rename={"a": "0", "b": "0"},
            ),
            ValueError,
            "0.weight: both `a.weight` and `b.weight`",
        ),
    ]:
        with pytest.raises(error, match=text):
            refused()
    assert same_bits(weights(net), weights(twin))


def layers(depth, width):
    torch.manual_seed(0)
    parts = []
    for _ in range(depth):
        parts += [nn.ReLU(), nn.Linear(width, width)]
    return nn.Sequential(*parts)


@pytest.mark.parametrize("rule", [positive, negative])
def test_a_one_sided_start_keeps_mean_and_variance_over_a_few_layers(rule):
    """Absolute values of PyTorch's own start, for comparison, grow tenfold a layer."""
    net, naive = layers(3, 200), layers(3, 200)
    rules = {"*.weight": rule}
    assert init_one_sided(net, rules) == ["1.weight", "3.weight", "5.weight"]
    assert check(net, rules)
    for parameter in naive.parameters():
        parameter.data = parameter.data.abs() if parameter.dim() == 2 else parameter.data
    images = (torch.randn(500, 1) + torch.randn(500, 200)) / math.sqrt(2)
    outputs, others = net(images).detach(), naive(images).detach()
    assert abs(float(outputs.mean())) < 0.6 and 0.3 < float(outputs.var()) < 4
    assert float(others.mean()) > 50


def test_the_law_of_a_start_is_that_of_the_paper():
    """Mean and variance of n weighted ReLU inputs with the correlation, by numbers drawn for it."""
    from polarity_torch.init import Start

    torch.manual_seed(0)
    # Few inputs: with more, the log-normal's tail is too heavy to be measured.
    n, samples = 4, 1_000_000
    start = Start.of(n)
    x = ((torch.randn(samples, 1) + torch.randn(samples, n)) / math.sqrt(2)).clamp(min=0)
    one, other = ((start.weights(x, None) * x).double().sum(1) - start.shift for _ in range(2))
    assert abs(float(one.mean())) < 0.01 and abs(float(one.var()) - 1) < 0.02
    assert abs(float((one * other).mean()) - 0.5) < 0.02


def test_layers_on_both_sides_are_left_as_they_are(net, twin):
    assert init_one_sided(net, Template.random(net, 3)) == []
    assert same_bits(weights(net), weights(twin))


def test_a_start_without_room_for_the_bias_is_refused_by_name():
    with pytest.raises(ValueError, match="weight: has no bias beside it"):
        init_one_sided(nn.Linear(3, 3, bias=False), {"weight": positive})
    with pytest.raises(ValueError, match="bias: is held on the side of its weights and has to begin negative"):
        init_one_sided(nn.Linear(3, 3), {"*": positive})
    init_one_sided(nn.Linear(3, 3), {"bias": free, "weight": positive})


def test_a_start_follows_its_generator():
    nets = [nn.Linear(5, 5) for _ in range(2)]
    for net in nets:
        init_one_sided(net, {"weight": positive}, generator=torch.Generator().manual_seed(3))
    assert same_bits(weights(nets[0]), weights(nets[1]))
