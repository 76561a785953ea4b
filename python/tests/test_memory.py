"""Whatever a parameter, gradient or state may be in memory: right, or refused by name."""

import copy
import warnings

import pytest
import torch
from conftest import give_gradients, network, same_bits, train, violators, weights
from torch import nn

from polarity_torch import (
    COMPILED,
    EG,
    EGAdamW,
    FrozenAdam,
    FrozenSGD,
    Template,
    apply_rules,
    check,
    hold,
    positive,
    transfer_signs,
)

ALL = [
    (FrozenAdam, {"lr": 0.1}),
    (FrozenSGD, {"lr": 0.1, "momentum": 0.9}),
    (EG, {"lr": 0.1}),
    (EGAdamW, {"lr": 0.1}),
]


def one(weight, name="weight"):
    """A module of one parameter."""
    module = nn.Module()
    module.register_parameter(name, weight if isinstance(weight, nn.Parameter) else nn.Parameter(weight))
    return module


def rule(module):
    return {"*": positive}


@pytest.mark.parametrize(("cls", "arguments"), ALL)
def test_channels_last_weights_get_the_same_bits_as_contiguous_ones(net, twin, cls, arguments):
    template = Template.random(net, 3)
    twin = twin.to(memory_format=torch.channels_last)
    assert not twin[3].weight.is_contiguous()
    for module in (net, twin):
        train(module, cls(module, signs=template, **arguments), 10)
        assert violators(module, template) == 0
    assert same_bits(weights(net), weights(twin))


def test_weights_that_become_channels_last_between_steps_go_on_bit_for_bit(net, twin):
    template = Template.random(net, 3)
    ours, theirs = FrozenAdam(net, lr=0.1, signs=template), FrozenAdam(twin, lr=0.1, signs=template)
    train(net, ours, 3)
    train(twin, theirs, 3)
    twin.to(memory_format=torch.channels_last)
    train(net, ours, 5, 3)
    train(twin, theirs, 5, 3)
    assert same_bits(weights(net), weights(twin))
    assert theirs.state[twin[3].weight]["exp_avg"].stride() == twin[3].weight.stride()


def test_a_contiguous_state_loads_beside_channels_last_weights(net, twin):
    template = Template.random(net, 3)
    ours = FrozenAdam(net, lr=0.1, signs=template)
    train(net, ours, 3)
    twin.load_state_dict(net.state_dict())
    twin.to(memory_format=torch.channels_last)
    theirs = FrozenAdam(twin, lr=0.1, signs=template)
    theirs.load_state_dict(copy.deepcopy(ours.state_dict()))
    train(net, ours, 3, 3)
    train(twin, theirs, 3, 3)
    assert same_bits(weights(net), weights(twin))


def test_gradients_in_another_order_than_their_weights_are_right(net, twin):
    template = Template.random(net, 3)
    ours, theirs = FrozenAdam(net, lr=0.1, signs=template), FrozenAdam(twin, lr=0.1, signs=template)
    for step in range(3):
        give_gradients(net, step)
        give_gradients(twin, step)
        gradient = twin[3].weight.grad
        twin[3].weight.grad = gradient.contiguous(memory_format=torch.channels_last)
        ours.step()
        theirs.step()
    assert same_bits(weights(net), weights(twin))


def test_an_expanded_gradient_is_right():
    module, other = one(torch.ones(3, 4)), one(torch.ones(3, 4))
    module.weight.grad = torch.tensor([[1.0, 2.0, 3.0, 4.0]]).expand(3, 4)
    other.weight.grad = module.weight.grad.clone()
    for net in (module, other):
        FrozenAdam(net, lr=0.1, signs=rule(net)).step()
    assert same_bits(weights(module), weights(other))


@pytest.mark.parametrize("lying", ["transposed", "permuted", "offset", "single"])
def test_dense_memory_of_any_order_and_offset_is_right(lying):
    plain = torch.randn(4, 6, 5, generator=torch.Generator().manual_seed(1))
    if lying == "transposed":
        weight = plain.transpose(0, 2).contiguous().transpose(0, 2)
    elif lying == "permuted":
        weight = plain.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    elif lying == "offset":
        weight = torch.cat([torch.zeros(2, 6, 5), plain])[2:]
    else:
        plain = plain[:, :1].contiguous()
        weight = plain.as_strided(plain.shape, (5, 77, 1))
    modules = one(plain.clone()), one(weight)
    signs = Template.random(modules[0], 3)
    for module in modules:
        train(module, FrozenAdam(module, lr=0.1, signs=signs), 10)
        assert violators(module, signs) == 0
    assert same_bits(weights(modules[0]), weights(modules[1]))


def test_memory_around_a_slice_stays_as_it_is():
    base = torch.full((10, 8), 7.0)
    module = one(base[3:6])
    train(module, FrozenAdam(module, lr=0.1, signs=rule(module)), 3)
    assert (base[:3] == 7).all() and (base[6:] == 7).all() and (base[3:6] != 7).all()


@pytest.mark.parametrize("view", [lambda t: t[:, ::2], lambda t: t[:1].expand(4, 6), lambda t: t.unfold(1, 2, 1)])
def test_views_with_gaps_and_expanded_weights_are_refused_by_name(view):
    module = one(torch.ones(4, 6))
    module.weight = nn.Parameter(view(torch.ones(4, 6)))
    for refused in (
        lambda: FrozenAdam(module, signs={"weight": positive}),
        lambda: hold(torch.optim.SGD(module.parameters(), lr=0.1), module, {"weight": positive}),
    ):
        with pytest.raises(ValueError, match="weight: shape .* with strides"):
            refused()
    module.weight.grad = torch.ones_like(module.weight)
    with pytest.raises(ValueError, match="weight: shape .* with strides"):
        FrozenAdam(module).step()


needs_kernel = pytest.mark.skipif(not COMPILED, reason="PyTorch's operations need no addresses")


@needs_kernel
def test_two_parameters_over_one_storage_are_refused_by_name():
    base = torch.ones(10)
    module = nn.Module()
    module.a, module.b = nn.Parameter(base[:6]), nn.Parameter(base[4:])
    optimizer = FrozenAdam(module)
    module.a.grad, module.b.grad = torch.ones(6), torch.ones(6)
    with pytest.raises(ValueError, match="b: weights: shares memory with weights of a"):
        optimizer.step()
    assert (base == 1).all() and module.a not in optimizer.state


@needs_kernel
def test_a_gradient_in_memory_that_the_step_writes_is_refused_by_name():
    module = one(torch.ones(8))
    module.weight.grad = module.weight.detach()
    with pytest.raises(ValueError, match="weight: .*: shares memory with"):
        FrozenAdam(module).step()
    module.weight.grad = torch.ones(8)
    optimizer = FrozenAdam(module)
    optimizer.step()
    optimizer.state[module.weight]["exp_avg"] = optimizer.state[module.weight]["exp_avg_sq"]
    with pytest.raises(ValueError, match="exp_avg.*: shares memory with exp_avg"):
        optimizer.step()


def test_two_weights_may_share_one_gradient():
    module = nn.Module()
    module.a, module.b = nn.Parameter(torch.ones(9)), nn.Parameter(torch.ones(9))
    module.a.grad = module.b.grad = torch.ones(9)
    FrozenAdam(module, lr=0.1, signs=rule(module)).step()
    assert torch.equal(module.a, module.b) and (module.a < 1).all()


def tied():
    module = nn.Module()
    module.first, module.second = nn.Linear(5, 5), nn.Linear(5, 5)
    module.second.weight = module.first.weight
    return module


def test_tied_parameters_are_held_once_and_under_either_name():
    for name in ("first.weight", "second.weight"):
        module = tied()
        template = Template.from_signs({name: -torch.ones(5, 5)}, "a test")
        optimizer = FrozenAdam(module, lr=0.1, signs=template)
        train(module, optimizer, 5)
        assert (module.first.weight <= 0).all() and list(optimizer.counts_by_parameter()) == ["first.weight"]


def test_tied_parameters_with_other_signs_under_two_names_are_refused():
    signs = {"first.weight": torch.ones(5, 5), "second.weight": -torch.ones(5, 5)}
    with pytest.raises(ValueError, match="second.weight: is tied to `first.weight`"):
        FrozenAdam(tied(), signs=Template.from_signs(signs, "a test"))
    signs["second.weight"] = torch.ones(5, 5)
    FrozenAdam(tied(), signs=Template.from_signs(signs, "a test"))


def test_autograd_sees_that_weights_were_written():
    """A backward pass that needs the old weights must be refused, as after PyTorch's own optimizers."""
    for make in (
        lambda net: FrozenAdam(net, lr=0.1, signs=rule(net)),
        lambda net: (opt := torch.optim.SGD(net.parameters(), lr=0.0), hold(opt, net, rule(net)))[0],
    ):
        net = nn.Linear(3, 3)
        optimizer = make(net)
        first = nn.Linear(3, 3)
        output = net(first(torch.ones(1, 3))).sum()
        version = net.weight._version
        net.weight.grad = torch.ones(3, 3)
        optimizer.step()
        assert net.weight._version > version
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            output.backward()


def test_tensors_of_other_kinds_are_refused_by_kind():
    with torch.inference_mode():
        inference = nn.Linear(2, 2)
    with pytest.raises(TypeError, match="weight: was made under torch.inference_mode"):
        FrozenAdam(inference, signs={"weight": positive})
    with pytest.raises(TypeError, match="weight: is on the meta device"):
        FrozenAdam(nn.Linear(2, 2, device="meta"), signs={"weight": positive})
    with pytest.raises(TypeError, match="weight: is lazy"):
        FrozenAdam(nn.LazyLinear(2), signs={"weight": positive})
    from torch._subclasses import FakeTensorMode

    with FakeTensorMode():
        fake = nn.Linear(2, 2)
    with pytest.raises(TypeError, match="weight: is a FakeTensor|weight: .*FakeTensor"):
        FrozenAdam(fake, signs={"weight": positive})


def test_a_free_parameter_of_another_kind_is_refused_at_its_step():
    net = nn.Linear(2, 2, device="meta")
    optimizer = FrozenAdam(net.parameters())
    net.weight.grad = torch.ones(2, 2, device="meta")
    with pytest.raises(TypeError, match="parameter 0 of group 0: is on the meta device"):
        optimizer.step()


def test_a_subclass_of_parameter_without_memory_of_its_own_kind_is_right():
    class Noted(nn.Parameter):
        pass

    module = one(Noted(torch.ones(6)))
    train(module, FrozenAdam(module, lr=0.5, signs=rule(module)), 4)
    assert (module.weight >= 0).all()


@pytest.mark.skipif(not hasattr(torch, "_lazy_clone"), reason="this PyTorch has no lazy clones")
def test_a_lazy_clone_is_copied_before_it_is_written():
    original = torch.ones(100)
    module = one(torch._lazy_clone(original))
    train(module, FrozenAdam(module, lr=0.1, signs=rule(module)), 3)
    assert (original == 1).all() and (module.weight != 1).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("cls", "arguments"), ALL)
def test_other_floats_are_right_within_their_precision(dtype, cls, arguments):
    """One step from the same start; more would not do, since rounding moves weights across zero."""
    reference, module = network(), network()
    for parameter in reference.parameters():
        parameter.data = parameter.data.to(dtype).to(torch.float32)
    module.load_state_dict(reference.state_dict())
    module.to(dtype)
    template = Template.random(reference, 3)
    ours, theirs = cls(module, signs=template, **arguments), cls(reference, signs=template, **arguments)
    give_gradients(reference, 0)
    for a, b in zip(module.parameters(), reference.parameters()):
        a.grad = b.grad.to(dtype)
        b.grad = a.grad.to(torch.float32)
    ours.step()
    theirs.step()
    assert ours.counts() == theirs.counts()
    # Weights that would leave 0 by exponentiated gradient begin at half's smallest normal number.
    room = 2.0**-14 if dtype is torch.float16 else 1e-6
    for a, b in zip(weights(module), weights(reference)):
        assert a.dtype is dtype
        torch.testing.assert_close(a.double(), b.double(), rtol=2 * torch.finfo(dtype).eps, atol=room)
    train(module, ours, 10, 1)
    assert violators(module.float(), template) == 0


def test_float64_draws_the_numbers_of_float32(net, twin):
    template = Template.random(net, 3)
    twin.double()
    for module in (net, twin):
        for parameter in module.parameters():
            parameter.data.fill_(1.0)
        optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
        hold(optimizer, module, template)
        for name in template:
            module.get_parameter(name).grad = 2.0 * module.get_parameter(name).detach()
        optimizer.step()
    for a, b in zip(weights(net), weights(twin)):
        torch.testing.assert_close(a.double(), b, rtol=1e-6, atol=0)


def test_sparse_gradients_are_refused_by_name():
    net = nn.Embedding(10, 4, sparse=True)
    optimizer = FrozenAdam(net, signs={"weight": positive})
    net(torch.tensor([1, 2])).sum().backward()
    with pytest.raises(TypeError, match="weight: has a sparse gradient; FrozenAdam takes dense ones"):
        optimizer.step()


def test_gradients_with_a_graph_work():
    net = nn.Linear(3, 1)
    optimizer = FrozenAdam(net, lr=0.1, signs={"weight": positive})
    net(torch.ones(1, 3)).square().sum().backward(create_graph=True)
    assert net.weight.grad.requires_grad
    optimizer.step()
    assert not optimizer.state[net.weight]["exp_avg"].requires_grad and (net.weight >= 0).all()


def test_a_gradient_that_is_negated_lazily_goes_the_right_way():
    results = []
    for lazily in (True, False):
        module = one(torch.ones(5))
        gradient = torch.complex(torch.zeros(5), torch.arange(5.0)).conj().imag
        assert gradient.is_neg()
        module.weight.grad = gradient if lazily else gradient.resolve_neg()
        FrozenAdam(module, lr=0.1, signs=rule(module)).step()
        results.append(weights(module))
    assert same_bits(*results) and (results[0][0][1:] > 1).all()


@needs_kernel
def test_misaligned_memory_is_refused_by_name():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weight = torch.frombuffer(bytearray(4 * 8 + 1), dtype=torch.float32, offset=1, count=8)
    module = one(weight)
    module.weight.grad = torch.ones(8)
    with pytest.raises(ValueError, match="weight: weights: does not begin at a multiple of 4 bytes"):
        FrozenAdam(module).step()


def test_a_larger_parameter_in_the_place_of_a_smaller_is_refused(net):
    """`parameter.data = larger` keeps the strides of a vector: its shape must be looked at."""
    module = one(torch.ones(4))
    optimizer = FrozenAdam(module, lr=0.1, signs=rule(module))
    train(module, optimizer, 1)
    module.weight.grad = torch.ones(4)
    module.weight.data = torch.ones(4000)
    with pytest.raises(ValueError, match=r"weight: has shape \(4000,\), its gradient \(4,\)"):
        optimizer.step()
    module.weight.grad = torch.ones(4000)
    with pytest.raises(ValueError, match=r"weight: has shape \(4000,\), its exp_avg \(4,\)"):
        optimizer.step()
    optimizer.state.clear()
    with pytest.raises(ValueError, match=r"weight: its signs are held in shape \(4,\), it has \(4000,\) now"):
        optimizer.step()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("left", [0, 16])
def test_a_freed_storage_is_refused_by_name(dtype, left):
    """Whoever reads it reads past its end: PyTorch's own operations do."""
    for freed in ("weight", "gradient", "exp_avg"):
        module = one(torch.ones(1000, dtype=dtype))
        optimizer = FrozenAdam(module, lr=0.1, signs=rule(module))
        train(module, optimizer, 1)
        gradient = torch.ones(1000, dtype=dtype)
        module.weight.grad = gradient
        tensors = {"weight": module.weight, "gradient": gradient, "exp_avg": optimizer.state[module.weight]["exp_avg"]}
        tensors[freed].untyped_storage().resize_(left)
        for ask in (optimizer.step, *([optimizer.violations] if freed == "weight" else [])):
            with pytest.raises(ValueError, match=f"weight: .*its storage has {left} bytes, too few for 1000"):
                ask()
    module = one(torch.ones(1000, dtype=dtype))
    signs = Template.from_module(module, include="*")
    module.weight.untyped_storage().resize_(left)
    for ask in (
        lambda: FrozenAdam(module, signs=signs),
        lambda: check(module, signs),
        lambda: Template.from_module(module, include="*"),
        lambda: transfer_signs(signs, module),
    ):
        with pytest.raises(ValueError, match=f"weight: its storage has {left} bytes"):
            ask()


def test_empty_and_scalar_parameters_work():
    module = nn.Module()
    module.empty, module.scalar = nn.Parameter(torch.ones(0, 3)), nn.Parameter(torch.tensor(1.0))
    optimizer = FrozenAdam(module, lr=0.5, signs={"scalar": positive})
    handle_of = Template.from_signs({"empty": torch.ones(0, 3), "scalar": torch.tensor(1.0)}, "a test")
    train(module, optimizer, 5)
    assert float(module.scalar.detach()) >= 0 and check(module, handle_of)
    other = torch.optim.SGD(module.parameters(), lr=0.5)
    hold(other, module, handle_of)
    train(module, other, 5)


def test_nan_and_infinite_gradients_are_no_violators_and_no_crash(net):
    template = Template.random(net, 3)
    optimizer = FrozenAdam(net, lr=0.1, signs=template)
    give_gradients(net, 0)
    net[0].weight.grad[0] = float("nan")
    net[3].weight.grad[0] = float("inf")
    optimizer.step()
    assert violators(net, template) == 0


def test_weights_without_a_gradient_of_a_trained_network_may_be_integers():
    module = one(torch.ones(3))
    module.register_buffer("steps", torch.tensor(3))
    assert len(apply_rules({"*": positive}, module.state_dict()).tensors) == 1
    FrozenAdam(module, signs={"*": positive})
