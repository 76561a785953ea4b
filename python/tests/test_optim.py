"""The optimizers beside PyTorch's, and beside the Rust kernels."""

import copy
import io
import pickle

import pytest
import torch
from conftest import bits, give_gradients, network, same_bits, train, violators, weights
from torch import nn

from polarity_torch import EG, EGAdamW, FrozenAdam, FrozenAdamW, FrozenSGD, Reset, Template, hold, positive

# Ours, PyTorch's, arguments.
PAIRS = [
    (FrozenAdam, torch.optim.Adam, {"lr": 1e-2}),
    (FrozenAdam, torch.optim.Adam, {"lr": 1e-2, "weight_decay": 0.1}),
    (FrozenAdam, torch.optim.Adam, {"lr": 1e-2, "maximize": True, "betas": (0.5, 0.9), "eps": 1e-4}),
    (FrozenAdamW, torch.optim.AdamW, {"lr": 1e-2, "weight_decay": 0.1}),
    (FrozenSGD, torch.optim.SGD, {"lr": 1e-2}),
    (FrozenSGD, torch.optim.SGD, {"lr": 1e-2, "momentum": 0.9, "weight_decay": 0.01}),
    (FrozenSGD, torch.optim.SGD, {"lr": 1e-2, "momentum": 0.9, "dampening": 0.1, "maximize": True}),
    (FrozenSGD, torch.optim.SGD, {"lr": 1e-2, "momentum": 0.9, "nesterov": True}),
]
HELD = [
    (FrozenAdam, {"lr": 0.1}),
    (FrozenAdamW, {"lr": 0.1}),
    (FrozenSGD, {"lr": 0.1}),
    (FrozenSGD, {"lr": 0.1, "momentum": 0.9}),
    (EG, {"lr": 0.1, "momentum": 0.9}),
    (EGAdamW, {"lr": 0.1}),
]


@pytest.mark.parametrize(("ours", "theirs", "arguments"), PAIRS)
def test_an_optimizer_that_holds_nothing_tracks_pytorchs_over_200_steps(net, twin, ours, theirs, arguments):
    """PyTorch divides the root by its correction and fuses some products into sums, we multiply by a reciprocal and
    round each operation: both are some 1e-6 from the same steps in double precision, where the tolerance is from."""
    train(net, ours(net, **arguments), 200)
    train(twin, theirs(twin.parameters(), **arguments), 200)
    for a, b in zip(weights(net), weights(twin)):
        assert float(((a - b).abs() / b.abs().clamp(min=0.01)).max()) < 5e-5


@pytest.mark.parametrize(("cls", "arguments"), HELD)
def test_no_held_weight_is_ever_on_the_wrong_side(net, cls, arguments):
    template = Template.random(net, 3)
    optimizer = cls(net, signs=template, **arguments)
    assert violators(net, template) == 0
    for step in range(20):
        train(net, optimizer, 1, step)
        assert violators(net, template) == optimizer.violations() == 0
    if not issubclass(cls, (EG, EGAdamW)):
        assert optimizer.counts().resets > 0


@pytest.mark.parametrize("reset", ["uniform", "zero", "flip", {"uniform": 0.5}, {"constant": 0.02}])
def test_every_reset_puts_weights_on_their_side(net, reset):
    template = Template.random(net, 3)
    optimizer = FrozenAdam(net, lr=0.1, signs=template, reset=reset)
    train(net, optimizer, 10)
    assert violators(net, template) == 0 and optimizer.counts().resets > 0


def test_at_the_start_violators_are_flipped_and_keep_their_magnitudes(net, twin):
    template = Template.random(net, 3)
    FrozenAdam(net, signs=template)
    assert violators(net, template) == 0
    for a, b in zip(weights(net), weights(twin)):
        assert torch.equal(a.abs(), b.abs())


def test_free_weights_train_as_ever(net, twin):
    template = Template.from_module(net).subset("0")
    train(net, FrozenAdam(net, lr=0.1, signs=template), 10)
    train(twin, FrozenAdam(twin, lr=0.1), 10)
    ours, free = dict(net.named_parameters()), dict(twin.named_parameters())
    for name in ours:
        assert same_bits([ours[name]], [free[name]]) == (name != "0.weight"), name


RESETS = {"uniform": "uniform", "flip": "flip", "zero": "zero", "constant": {"constant": 0.01}}
RULES = {
    "adam uniform": (FrozenAdam, {"lr": 0.1}),
    "adam flip": (FrozenAdam, {"lr": 0.1, "weight_decay": 0.1}),
    "adamw zero": (FrozenAdamW, {"lr": 0.1, "weight_decay": 0.1}),
    "sgd constant": (FrozenSGD, {"lr": 0.5, "weight_decay": 0.01}),
    "sgd momentum uniform": (FrozenSGD, {"lr": 0.5, "weight_decay": 0.01, "momentum": 0.9}),
    "sgd nesterov uniform": (FrozenSGD, {"lr": 0.5, "weight_decay": 0.01, "momentum": 0.9, "nesterov": True}),
    "eg momentum uniform": (EG, {"lr": 0.5, "weight_decay": 0.01, "momentum": 0.9}),
    "eg-adamw uniform": (EGAdamW, {"lr": 0.1, "weight_decay": 0.1}),
}


def floats(words):
    return torch.tensor(words, dtype=torch.int64).to(torch.int32).view(torch.float32)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("lying", ["rows", "columns"])
def test_rust_and_python_give_the_same_bits(steps, rule, lying):
    module = nn.Module()
    module.layer = nn.Linear(*reversed(steps["shape"]), bias=False)
    start = floats(steps["weights"]).reshape(steps["shape"])
    if lying == "columns":
        start = start.t().contiguous().t()
    module.layer.weight = nn.Parameter(start)
    signs = torch.tensor(steps["signs"]).reshape(steps["shape"])
    cls, arguments = RULES[rule]
    template = Template.from_signs({steps["name"]: signs}, "a test")
    optimizer = cls(module, signs=template, reset=RESETS[rule.split()[-1]], seed=steps["seed"], **arguments)
    for gradient in steps["gradients"]:
        module.layer.weight.grad = floats(gradient).reshape(steps["shape"])
        optimizer.step()
    got = bits(module.layer.weight).flatten().tolist()
    assert got == torch.tensor(steps["results"][rule], dtype=torch.int64).to(torch.int32).tolist()


def test_threads_change_no_bit():
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        net = nn.Linear(900, 900)
        optimizer = FrozenAdam(net, lr=0.1, signs=Template.random(net, 1))
        train(net, optimizer, 3)
        results.append((weights(net), optimizer.counts()))
    torch.set_num_threads(2)
    assert all(same_bits(results[0][0], w) and results[0][1] == c for w, c in results[1:])


# Arguments


def test_flags_that_choose_between_implementations_are_taken(net):
    for flags in ({"foreach": True}, {"fused": True}, {"fused": False, "foreach": None}):
        train(net, FrozenAdam(net, **flags), 1)
        train(net, FrozenSGD(net, **flags), 1)


@pytest.mark.parametrize("flag", ["amsgrad", "capturable", "differentiable"])
def test_flags_that_are_not_built_are_refused_by_name(net, flag):
    with pytest.raises(ValueError, match=f"{flag}: expected False"):
        FrozenAdam(net, **{flag: True})


@pytest.mark.parametrize(
    ("cls", "arguments", "text"),
    [
        (FrozenAdam, {"lr": -1.0}, "lr: expected a number of at least 0"),
        (FrozenAdam, {"lr": float("nan")}, "lr"),
        (FrozenAdam, {"lr": torch.ones(2)}, "lr: expected one number"),
        (FrozenAdam, {"betas": (1.0, 0.9)}, r"betas\[0\]"),
        (FrozenAdam, {"betas": (0.9, -0.1)}, r"betas\[1\]"),
        (FrozenAdam, {"eps": -1e-8}, "eps"),
        (FrozenAdamW, {"weight_decay": -1.0}, "weight_decay"),
        (FrozenSGD, {"momentum": -0.1}, "momentum"),
        (FrozenSGD, {"nesterov": True}, "nesterov"),
        (FrozenAdam, {"reset": {"uniform": -0.1}}, "reset: uniform: expected a finite number above 0, got `-0.1`"),
        (FrozenAdam, {"reset": {"constant": float("inf")}}, "reset: constant"),
        (FrozenAdam, {"reset": "constant"}, "reset: `constant` has no magnitude"),
        (FrozenAdam, {"reset": "unifrom"}, "reset: expected"),
        (FrozenAdam, {"seed": -1}, "seed: expected a whole number"),
        (FrozenAdam, {"seed": 1.5}, "seed"),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(net, cls, arguments, text):
    with pytest.raises(ValueError, match=text):
        cls(net, **arguments)


def test_a_reset_is_a_rule_or_its_written_form(net):
    assert Reset.of({"uniform": 0.5}) == Reset("uniform", 0.5) == pickle.loads(pickle.dumps(Reset("uniform", 0.5)))
    with pytest.raises(TypeError, match="reset: expected 'uniform'"):
        FrozenAdam(net, reset=0.1)


def test_a_template_for_another_network_is_refused_by_name(net):
    other = Template.from_module(nn.Sequential(nn.Conv2d(2, 6, 5)))
    with pytest.raises(
        ValueError, match=r"0.weight: the network has shape \(6, 2, 3, 3\), the template \(6, 2, 5, 5\)"
    ):
        FrozenAdam(net, signs=other)
    with pytest.raises(KeyError, match="features.0.weight: in the template but not in the network"):
        FrozenAdam(net, signs="alexnet-imagenet")
    with pytest.raises(FileNotFoundError):
        FrozenAdam(net, signs="no-such-template")
    with pytest.raises(TypeError, match="signs: expected a Template"):
        FrozenAdam(net, signs=3)


def test_names_come_from_a_module_beside_the_parameters_or_from_named_ones(net):
    template = Template.random(net, 1)
    decayed = [p for p in net.parameters() if p.dim() > 1]
    others = [p for p in net.parameters() if p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others}]
    for params, module in [
        (net, None),
        (net.parameters(), net),
        (net.named_parameters(), None),
        (groups, net),
        ([{"params": list(net.named_parameters())}], None),
    ]:
        optimizer = FrozenAdam(params, lr=0.1, module=module, signs=template)
        train(net, optimizer, 2)
        assert violators(net, template) == 0 and len(optimizer.counts_by_parameter()) == 3


def test_parameters_without_names_cannot_be_held(net):
    with pytest.raises(TypeError, match="signs: parameters have names in a template, and these have none"):
        FrozenAdam(net.parameters(), signs=Template.random(net, 1))
    train(net, FrozenAdam(net.parameters()), 1)


def test_two_parameters_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two parameters are named `w`"):
        FrozenAdam([("w", nn.Parameter(torch.ones(2))), ("w", nn.Parameter(torch.ones(2)))])


def test_a_held_parameter_that_the_optimizer_does_not_own_is_refused_by_name(net):
    with pytest.raises(ValueError, match="3.weight: is to be held, but the optimizer does not own it"):
        FrozenAdam(net[0].parameters(), module=net, signs=Template.random(net, 1).subset("0", "3"))


def test_what_is_no_parameter_is_refused_as_pytorch_does(net):
    with pytest.raises(TypeError):
        FrozenAdam(net[0].weight)
    with pytest.raises((TypeError, ValueError)):
        FrozenAdam([])
    with pytest.raises(TypeError):
        FrozenAdam(["weight"])


# The life of an optimizer


def test_a_resumed_run_goes_on_bit_for_bit(net):
    for cls, arguments in HELD:
        template = Template.random(net, 3)
        whole, cut = network(), network()
        optimizer = cls(whole, signs=template, **arguments)
        train(whole, optimizer, 10)
        first = cls(cut, signs=template, **arguments)
        train(cut, first, 4)
        saved = io.BytesIO()
        torch.save({"net": cut.state_dict(), "optimizer": first.state_dict()}, saved)
        saved.seek(0)
        loaded = torch.load(saved, weights_only=True)
        resumed = network(seed=5)
        second = cls(resumed, signs=template, **arguments)
        resumed.load_state_dict(loaded["net"])
        second.load_state_dict(loaded["optimizer"])
        train(resumed, second, 6, 4)
        assert same_bits(weights(resumed), weights(whole)), cls
        assert second.counts() == optimizer.counts()


def test_a_run_that_loads_no_state_differs(net):
    template = Template.random(net, 3)
    whole, cold = network(), network()
    train(whole, FrozenAdam(whole, lr=0.1, signs=template), 10)
    train(cold, FrozenAdam(cold, lr=0.1, signs=template), 4)
    train(cold, FrozenAdam(cold, lr=0.1, signs=template), 6, 4)
    assert not same_bits(weights(whole), weights(cold))


def test_a_state_that_held_other_signs_is_refused_by_name(net, twin):
    saved = FrozenAdam(net, signs=Template.random(net, 3)).state_dict()
    for signs, text in [
        (Template.random(twin, 4), "0.weight: is held to other signs"),
        (Template.random(twin, 3).subset("0"), "3.weight: was held in the saved state, and is not here"),
    ]:
        optimizer = FrozenAdam(twin, signs=signs)
        with pytest.raises(ValueError, match=text):
            optimizer.load_state_dict(saved)
    fewer = FrozenAdam(twin, signs=Template.random(twin, 3).subset("0")).state_dict()
    with pytest.raises(ValueError, match="3.weight: is held here, and was not in the saved state"):
        FrozenAdam(twin, signs=Template.random(twin, 3)).load_state_dict(fewer)


def test_states_of_pytorch_and_ours_load_into_each_other(net, twin):
    for ours, theirs, arguments in PAIRS:
        if arguments.get("maximize"):
            continue
        net, twin = network(), network()
        first = theirs(net.parameters(), **arguments)
        train(net, first, 3)
        twin.load_state_dict(net.state_dict())
        second = ours(twin, **arguments)
        second.load_state_dict(copy.deepcopy(first.state_dict()))
        train(net, first, 3, 3)
        train(twin, second, 3, 3)
        for a, b in zip(weights(net), weights(twin)):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
        # And back again.
        third = theirs(twin.parameters(), **arguments)
        third.load_state_dict(second.state_dict())
        train(net, first, 3, 6)
        train(twin, third, 3, 6)
        for a, b in zip(weights(net), weights(twin)):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_a_state_of_pytorchs_adam_keeps_our_signs_reset_and_seed(net, twin):
    plain = torch.optim.Adam(net.parameters(), lr=0.1)
    train(net, plain, 3)
    template = Template.random(twin, 3)
    optimizer = FrozenAdam(twin, signs=template, reset="flip", seed=4)
    optimizer.load_state_dict(plain.state_dict())
    train(twin, optimizer, 5)
    assert violators(twin, template) == 0
    assert optimizer.state_dict()["polarity"]["reset"] == "flip" and optimizer.state_dict()["polarity"]["seed"] == 4


def test_a_state_of_adam_leaves_adamw_what_it_is(net, twin):
    plain = torch.optim.Adam(net.parameters(), weight_decay=0.1)
    train(net, plain, 1)
    optimizer = FrozenAdamW(twin)
    optimizer.load_state_dict(plain.state_dict())
    assert all(group["decoupled_weight_decay"] for group in optimizer.param_groups)


def test_a_damaged_state_is_refused(net, twin):
    saved = FrozenAdam(net, signs=Template.random(net, 3)).state_dict()
    del saved["polarity"]["signs"]
    with pytest.raises(ValueError, match="state: 'polarity' lacks .'signs'."):
        FrozenAdam(twin, signs=Template.random(twin, 3)).load_state_dict(saved)


def test_a_group_that_is_refused_is_not_added(net):
    optimizer = FrozenAdam(net[0])
    with pytest.raises(ValueError, match="lr"):
        optimizer.add_param_group({"params": net[3].parameters(), "lr": -1.0})
    assert len(optimizer.param_groups) == 1


def test_a_state_with_amsgrad_is_refused(net, twin):
    plain = torch.optim.Adam(net.parameters(), amsgrad=True)
    with pytest.raises(ValueError, match="amsgrad"):
        FrozenAdam(twin).load_state_dict(plain.state_dict())


def again(how, pair):
    if how == "deepcopy":
        return copy.deepcopy(pair)
    if how == "pickle":
        return pickle.loads(pickle.dumps(pair))
    saved = io.BytesIO()
    torch.save(pair, saved)
    saved.seek(0)
    return torch.load(saved, **({"weights_only": False}))


@pytest.mark.parametrize("how", ["deepcopy", "pickle", "torch.save"])
@pytest.mark.parametrize(("cls", "arguments"), HELD[:4])
def test_copies_keep_holding_and_go_on_bit_for_bit(net, how, cls, arguments):
    template = Template.random(net, 3)
    optimizer = cls(net, signs=template, **arguments)
    train(net, optimizer, 3)
    other, copied = again(how, (net, optimizer))
    train(net, optimizer, 5, 3)
    train(other, copied, 5, 3)
    assert same_bits(weights(net), weights(other)) and violators(other, template) == 0
    assert copied.counts() == optimizer.counts() and other is not net


def test_release_makes_it_the_plain_optimizer(net):
    template = Template.random(net, 3)
    optimizer = FrozenAdam(net, lr=0.1, signs=template)
    train(net, optimizer, 3)
    counts = optimizer.counts()
    optimizer.release()
    train(net, optimizer, 5, 3)
    assert violators(net, template) > 0 and optimizer.counts() == counts
    restored = FrozenAdam(net, lr=0.1, signs=template)
    restored.load_state_dict(optimizer.state_dict())
    train(net, restored, 3, 8)
    assert violators(net, template) > 0


def test_a_group_that_is_added_later_is_held(net):
    template = Template.random(net, 3).subset("0", "6")
    for parameter in net[6].parameters():
        parameter.requires_grad_(False)
    with torch.no_grad():
        net[6].weight.copy_(net[6].weight.abs() * torch.tensor(template.signs("6.weight")))
    rest = [p for p in net.parameters() if p.requires_grad]
    optimizer = FrozenAdam(rest, lr=0.1, module=net, signs=template)
    train(net, optimizer, 2)
    for parameter in net[6].parameters():
        parameter.requires_grad_(True)
    optimizer.add_param_group({"params": net[6].parameters(), "lr": 0.5})
    train(net, optimizer, 5)
    assert violators(net, template) == 0 and optimizer.counts_by_parameter()["6.weight"].resets > 0


def test_parameters_without_gradients_stay_as_they_are(net):
    template = Template.random(net, 3)
    optimizer = FrozenAdam(net, lr=0.1, signs=template)
    give_gradients(net, 0)
    net[3].weight.grad = None
    before = net[3].weight.detach().clone()
    optimizer.step()
    assert torch.equal(before, net[3].weight) and net[3].weight not in optimizer.state


def test_an_untrained_parameter_that_violates_is_refused(net):
    net[0].weight.requires_grad_(False)
    trained = [p for p in net.parameters() if p.requires_grad]
    with pytest.raises(ValueError, match="0.weight: .* weights are on the wrong side of zero, and no step"):
        FrozenAdam(trained, module=net, signs=Template.random(net, 3))


def test_closures_schedulers_and_tensor_rates_work(net):
    template = Template.random(net, 3)
    optimizer = FrozenAdam(net, lr=torch.tensor(0.1), signs=template)
    schedulers = [
        torch.optim.lr_scheduler.OneCycleLR(FrozenAdam(net, signs=template), max_lr=0.2, total_steps=20),
        torch.optim.lr_scheduler.CosineAnnealingLR(FrozenSGD(net, lr=0.1, momentum=0.9, signs=template), 20),
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step)),
    ]
    for scheduler in schedulers:
        optimizer = scheduler.optimizer

        def closure(optimizer=optimizer):
            optimizer.zero_grad()
            loss = net(torch.ones(3, 2, 8, 8)).square().sum()
            loss.backward()
            return loss

        for _ in range(5):
            assert float(optimizer.step(closure).detach()) >= 0
            scheduler.step()
        assert violators(net, template) == 0


def test_step_hooks_run(net):
    seen = []
    optimizer = FrozenAdam(net)
    optimizer.register_step_pre_hook(lambda *_: seen.append("before"))
    optimizer.register_step_post_hook(lambda *_: seen.append("after"))
    train(net, optimizer, 1)
    assert seen == ["before", "after"]


def grad_scaler(**arguments):
    try:
        return torch.amp.GradScaler("cpu", **arguments)
    except (AttributeError, TypeError):
        pytest.skip("this PyTorch has no GradScaler for the CPU")


def test_a_scaler_skips_a_step_whose_gradients_are_not_finite(net):
    template = Template.random(net, 3)
    optimizer = FrozenAdam(net, lr=0.1, signs=template)
    scaler = grad_scaler(init_scale=4.0)
    for bad in (False, True, False):
        optimizer.zero_grad()
        scaler.scale(net(torch.randn(3, 2, 8, 8)).square().sum()).backward()
        if bad:
            net[0].weight.grad[0] = float("inf")
        before = weights(net)
        scaler.step(optimizer)
        scaler.update()
        assert same_bits(before, weights(net)) == bad
    assert float(optimizer.state[net[0].weight]["step"]) == 2 and violators(net, template) == 0


def test_a_compiled_network_keeps_its_names_and_a_compiled_loop_its_signs(net):
    template = Template.random(net, 3)
    compiled = torch.compile(net, backend="eager")
    assert list(Template.from_module(compiled)) == list(template)
    optimizer = FrozenAdam(compiled, lr=0.1, signs=template)

    @torch.compile(backend="eager")
    def step():
        give_gradients(net, 0)
        optimizer.step()

    for _ in range(3):
        step()
    assert violators(net, template) == 0 and optimizer.counts().resets > 0
    partly = network()
    partly[3] = torch.compile(partly[3], backend="eager")
    assert list(Template.from_module(partly)) == list(template)


def test_hold_refuses_an_optimizer_that_holds_itself(net):
    with pytest.raises(RuntimeError, match="FrozenAdam holds signs itself"):
        hold(FrozenAdam(net), net, {"*.weight": positive})
