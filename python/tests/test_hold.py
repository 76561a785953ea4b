"""Any optimizer that holds signs."""

import copy
import io
import pickle

import pytest
import torch
from conftest import give_gradients, network, same_bits, train, violators, weights
from torch import nn

from polarity_torch import Counts, FrozenAdam, FrozenSGD, Hold, Template, hold, positive

OPTIMIZERS = [
    (torch.optim.SGD, {"lr": 0.1}),
    (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "foreach": True}),
    (torch.optim.Adam, {"lr": 0.1}),
    (torch.optim.AdamW, {"lr": 0.1, "foreach": False}),
    (torch.optim.RMSprop, {"lr": 0.1}),
    (torch.optim.Adagrad, {"lr": 0.1}),
    (torch.optim.NAdam, {"lr": 0.1}),
    (torch.optim.Adadelta, {"lr": 10.0}),
]


def held(net, cls=torch.optim.Adam, template=None, reset="uniform", seed=0, **arguments):
    template = Template.random(net, 3) if template is None else template
    optimizer = cls(net.parameters(), **(arguments or {"lr": 0.1}))
    return optimizer, hold(optimizer, net, template, reset, seed=seed), template


@pytest.mark.parametrize(("cls", "arguments"), OPTIMIZERS)
def test_any_optimizer_holds_signs(net, cls, arguments):
    optimizer, handle, template = held(net, cls, **arguments)
    assert violators(net, template) == 0
    for step in range(10):
        train(net, optimizer, 1, step)
        assert violators(net, template) == 0
    assert handle.counts().resets > 0 and handle.counts().sign_flips is None


def test_the_hook_gives_the_bits_of_the_optimizer_that_holds_itself(net, twin):
    """SGD without momentum has one order of operations, so that PyTorch's step and ours agree to the bit; the draws
    must too."""
    template = Template.random(net, 3)
    optimizer, handle, _ = held(net, torch.optim.SGD, template, lr=0.125)
    train(net, optimizer, 8)
    train(twin, other := FrozenSGD(twin, lr=0.125, signs=template), 8)
    assert same_bits(weights(net), weights(twin)) and handle.counts().resets == other.counts().resets


def test_release_gives_the_optimizer_back(net):
    optimizer, handle, template = held(net)
    train(net, optimizer, 3)
    counts = handle.counts()
    handle.release()
    handle.release()
    train(net, optimizer, 5, 3)
    assert violators(net, template) > 0 and handle.counts() == counts and handle.violations() == 0
    assert Hold.of(optimizer) is None and "polarity" not in optimizer.state_dict()
    assert copy.deepcopy(optimizer) is not None
    hold(optimizer, net, template)
    assert violators(net, template) == 0


def again(how, pair):
    if how == "deepcopy":
        return copy.deepcopy(pair)
    if how == "pickle":
        return pickle.loads(pickle.dumps(pair))
    saved = io.BytesIO()
    torch.save(pair, saved)
    saved.seek(0)
    return torch.load(saved, weights_only=False)


@pytest.mark.parametrize("how", ["deepcopy", "pickle", "torch.save"])
def test_copies_hold_too_and_go_on_bit_for_bit(net, how):
    """`Optimizer.__getstate__` drops hooks: a copied optimizer once made 10,293 violators."""
    optimizer, handle, template = held(net)
    train(net, optimizer, 3)
    other, copied = again(how, (net, optimizer))
    train(net, optimizer, 5, 3)
    train(other, copied, 5, 3)
    assert violators(other, template) == 0 and same_bits(weights(net), weights(other))
    assert Hold.of(copied).counts() == handle.counts() and Hold.of(copied) is not handle
    Hold.of(copied).release()
    train(other, copied, 5, 8)
    train(net, optimizer, 5, 8)
    assert violators(other, template) > 0 and violators(net, template) == 0


def test_a_shallow_copy_holds_too(net):
    optimizer, _, template = held(net)
    train(net, copy.copy(optimizer), 5)
    assert violators(net, template) == 0


def test_a_copy_of_a_copy_holds_too(net):
    optimizer, _, template = held(net)
    net, optimizer = copy.deepcopy(copy.deepcopy((net, optimizer)))
    train(net, optimizer, 5)
    assert violators(net, template) == 0


def test_a_resumed_run_goes_on_bit_for_bit(net):
    optimizer, handle, template = held(net)
    train(net, optimizer, 4)
    saved = io.BytesIO()
    torch.save({"net": net.state_dict(), "optimizer": optimizer.state_dict()}, saved)
    train(net, optimizer, 6, 4)
    saved.seek(0)
    loaded = torch.load(saved, weights_only=True)
    resumed = network(seed=5)
    second, again, _ = held(resumed, template=template)
    resumed.load_state_dict(loaded["net"])
    second.load_state_dict(loaded["optimizer"])
    train(resumed, second, 6, 4)
    assert same_bits(weights(net), weights(resumed)) and again.counts() == handle.counts()


def test_a_state_that_held_other_signs_is_refused_by_name(net, twin):
    saved = held(net)[0].state_dict()
    optimizer, _, _ = held(twin, template=Template.random(twin, 4))
    with pytest.raises(ValueError, match="0.weight: is held to other signs than in the saved state"):
        optimizer.load_state_dict(saved)


def test_states_of_plain_optimizers_load_and_ours_load_into_plain_ones(net, twin):
    plain = torch.optim.Adam(net.parameters(), lr=0.1)
    train(net, plain, 3)
    optimizer, _, template = held(twin)
    optimizer.load_state_dict(plain.state_dict())
    train(twin, optimizer, 3)
    assert violators(twin, template) == 0
    plain.load_state_dict(optimizer.state_dict())
    train(net, plain, 1)


def test_a_released_state_of_an_optimizer_that_holds_itself_releases(net, twin):
    template = Template.random(net, 3)
    other = FrozenAdam(net, lr=0.1, signs=template)
    train(net, other, 2)
    other.release()
    optimizer, _, _ = held(twin, template=template)
    optimizer.load_state_dict(other.state_dict())
    assert Hold.of(optimizer) is None
    train(twin, optimizer, 5)
    assert violators(twin, template) > 0


def test_what_cannot_be_held_is_refused_by_name(net):
    optimizer = torch.optim.SGD(net[0].parameters(), lr=0.1)
    template = Template.random(net, 3)
    for refused, error, text in [
        (lambda: hold(net, net, template), TypeError, "optimizer: expected a torch.optim.Optimizer, got Sequential"),
        (lambda: hold(optimizer, optimizer, template), TypeError, "module: expected a torch.nn.Module"),
        (lambda: hold(optimizer, net, 3), TypeError, "signs: expected a Template"),
        (lambda: hold(optimizer, net, template), ValueError, "3.weight: is to be held, but the optimizer does not own"),
        (lambda: hold(optimizer, net, {"0.wieght": positive}), KeyError, "did you mean `0.weight`"),
        (lambda: hold(optimizer, net[3:], template), KeyError, "3.weight|6.weight|0.weight"),
        (lambda: hold(optimizer, net, template, {"uniform": -1}), ValueError, "reset: uniform: .* above 0, got `-1`"),
        (lambda: hold(optimizer, net, template, seed="x"), ValueError, "seed"),
    ]:
        with pytest.raises(error, match=text):
            refused()
    assert Hold.of(optimizer) is None
    hold(optimizer, net, template.subset("0"))
    with pytest.raises(RuntimeError, match="holds signs already"):
        hold(optimizer, net, template.subset("0"))


def test_a_scalers_skipped_step_counts_for_nothing(net):
    try:
        torch.optim.Adam(net.parameters(), fused=True)
        scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    except (AttributeError, TypeError, RuntimeError):
        pytest.skip("this PyTorch has no GradScaler, or no fused Adam, for the CPU")
    for fused in (True, False):
        # PyTorch's fused Adam is called for skipped steps, too, and looks itself.
        optimizer, _, template = held(net, template=Template.random(net, 3), lr=0.1, fused=fused)
        for bad in (False, True, False):
            optimizer.zero_grad()
            scaler.scale(net(torch.randn(3, 2, 8, 8)).square().sum()).backward()
            if bad:
                net[0].weight.grad[0] = float("inf")
            before = weights(net)
            scaler.step(optimizer)
            scaler.update()
            assert same_bits(before, weights(net)) == bad
        assert optimizer.state_dict()["polarity"]["step"] == 2 and violators(net, template) == 0


def test_an_lbfgs_with_its_closure_holds(net):
    optimizer = torch.optim.LBFGS(net.parameters(), lr=0.1, max_iter=3)
    template = Template.random(net, 3)
    hold(optimizer, net, template)
    images = torch.randn(3, 2, 8, 8)

    def closure():
        optimizer.zero_grad()
        loss = net(images).square().sum()
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure)
    assert violators(net, template) == 0


def test_a_compiled_step_of_pytorchs_projects(net):
    optimizer, handle, template = held(net)
    step = torch.compile(optimizer.step, backend="eager")
    for number in range(3):
        give_gradients(net, number)
        step()
    assert violators(net, template) == 0 and handle.counts().resets > 0


@pytest.mark.parametrize("first", ["scheduler", "hold"])
def test_a_scheduler_may_be_made_before_or_after(net, first):
    template = Template.random(net, 3)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    make = {
        "scheduler": lambda: torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=20),
        "hold": lambda: hold(optimizer, net, template),
    }
    made = {name: make[name]() for name in (first, *make.keys() - {first})}
    for step in range(5):
        train(net, optimizer, 1, step)
        made["scheduler"].step()
        assert violators(net, template) == 0
    made["hold"].release()
    train(net, optimizer, 3, 5)
    assert violators(net, template) > 0


def test_a_group_that_is_added_after_holding_is_held_with_the_rest(net):
    template = Template.random(net, 3)
    with torch.no_grad():
        net[6].weight.copy_(net[6].weight.abs() * torch.tensor(template.signs("6.weight")))
    net[6].weight.requires_grad_(False)
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1)
    hold(optimizer, net, template)
    net[6].weight.requires_grad_(True)
    optimizer.add_param_group({"params": [net[6].weight]})
    train(net, optimizer, 5)
    assert violators(net, template) == 0


def test_clipping_and_averages_beside_it_work(net):
    optimizer, _, template = held(net)
    averaged = torch.optim.swa_utils.AveragedModel(net)
    for step in range(5):
        give_gradients(net, step)
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        averaged.update_parameters(net)
    # A mean of numbers on one side is on that side.
    assert violators(net, template) == violators(averaged.module, template) == 0


def test_every_dtype_holds():
    for dtype in (torch.float64, torch.bfloat16, torch.float16):
        net = network().to(dtype)
        optimizer, handle, template = held(net, torch.optim.SGD, lr=0.1)
        train(net, optimizer, 5)
        assert handle.violations() == 0 and handle.counts().resets > 0
        assert violators(net.float(), template) == 0


def test_its_repr_says_what_is_held(net):
    _, handle, _ = held(net)
    assert repr(handle) == "<Hold: 938 weights in 3 parameters of Adam>"
    handle.release()
    assert repr(handle) == "<Hold: released>" and handle.counts() == Counts(0, None)


def test_a_thousand_optimizers_leave_no_cycle_that_lives(net):
    import gc
    import weakref

    optimizer, handle, _ = held(net)
    gone = weakref.ref(optimizer)
    del optimizer, handle
    gc.collect()
    assert gone() is None
