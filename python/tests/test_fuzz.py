"""The boundary where addresses are handed over: whatever comes, an exception or the right step, never a crash.

What is only an address can be nonsense of any kind; what is refused by numbers alone must be refused before it is
used. Each case below runs in this process: a wrong one would end it.
"""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from polarity_torch import COMPILED, FrozenAdam, FrozenSGD, Template, hold

pytestmark = pytest.mark.skipif(not COMPILED, reason="there are no addresses")

if COMPILED:
    from polarity_torch import _core

HUGE = [0, 1, 2, 3, 4, 5, 7, 8, 100, 2**31, 2**32, 2**61, 2**62 - 1, 2**62, 2**63 - 4, 2**63, 2**64 - 4, 2**64 - 1]
# What can be no slice, by its numbers alone. A plausible address is the caller's promise, and is not made up here.
BAD_ADDRESS = st.sampled_from([0, 1, 2, 3, 5, 6, 7, 9, 4097, 2**64 - 1, 2**64 - 3])


def signs(length):
    return Template.from_signs({"w": torch.ones(length)}, "a test")._signs("w")


def common(threads=1):
    return _core.Reset("uniform", 0.001), 0, threads


@given(length=st.sampled_from(HUGE), addresses=st.tuples(*[BAD_ADDRESS] * 4), held=st.booleans())
@settings(max_examples=200, deadline=None)
def test_no_slice_of_impossible_numbers_is_touched(length, addresses, held):
    hold_row = (signs(8), 0, 1) if held else None
    row = (*addresses, length, 1, hold_row)
    nothing = length == 0 and not held
    for kernel in (_core.adam, _core.eg_adam):
        call = lambda kernel=kernel: kernel([(0.1, 0.9, 0.999, 1e-8, 0.0, False, [row])], common())
        if nothing:
            assert call() == [(0, 0)]
        else:
            with pytest.raises(_core.Refused):
                call()
    w, g, b, _ = addresses
    for kernel in (_core.sgd, _core.eg):
        call = lambda kernel=kernel: kernel(
            [(0.1, 0.0, 0.9, 0.0, False, [(w, g, (b, True), length, hold_row)])], common()
        )
        if nothing:
            assert call() == [(0, 0)]
        else:
            with pytest.raises(_core.Refused):
                call()
    with pytest.raises(_core.Refused):
        _core.project([(w, length, (signs(8), 0, 1))], common())


@given(length=st.integers(0, 300), lie=st.integers(0, 300), seed=st.integers(0, 2**64 - 1))
@settings(max_examples=200, deadline=None)
def test_a_mask_of_another_length_is_refused_before_memory_is_used(length, lie, seed):
    weights = torch.ones(300)
    row = (weights.data_ptr(), length, (signs(lie), seed, seed))
    if length == lie:
        assert _core.project([row], common()) == [(0, 0)]
    else:
        with pytest.raises(_core.Refused, match="signs for"):
            _core.project([row], common())
    assert (weights == 1).all()


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_overlaps_are_found_wherever_they_are(data):
    """Spans in one buffer: refused exactly when a written one overlaps another."""
    base = torch.zeros(400)
    start = base.data_ptr()
    count = data.draw(st.integers(1, 6))
    spans = [data.draw(st.tuples(st.integers(0, 380), st.integers(0, 20))) for _ in range(2 * count)]
    rows = [(start + 4 * w, start + 4 * g, None, min(n, m), None) for (w, n), (g, m) in zip(spans[::2], spans[1::2])]
    writes = [range(w, w + min(n, m)) for (w, n), (_, m) in zip(spans[::2], spans[1::2])]
    reads = [range(g, g + min(n, m)) for (_, n), (g, m) in zip(spans[::2], spans[1::2])]
    touched = [set(span) for span in writes]
    overlap = any(touched[i] & touched[j] for i in range(count) for j in range(i)) or any(
        one & set(other) for one in touched for other in reads
    )
    call = lambda: _core.sgd([(0.1, 0.0, 0.0, 0.0, False, rows)], common(2))
    if overlap:
        with pytest.raises(_core.Refused, match="shares memory"):
            call()
    else:
        assert call() == [(0, 0)] * count
    assert (base == 0).all()


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: _core.project([], common(0)), ValueError),
        (lambda: _core.project([], common(-1)), TypeError),
        (lambda: _core.project([(-4, 1, (signs(1), 0, 1))], common()), TypeError),
        (lambda: _core.project([(2**64, 1, (signs(1), 0, 1))], common()), TypeError),
        (lambda: _core.project([(1.5, 1, (signs(1), 0, 1))], common()), TypeError),
        (lambda: _core.project([("x", 1, (signs(1), 0, 1))], common()), TypeError),
        (lambda: _core.project([(4, 1, None)], common()), TypeError),
        (lambda: _core.project([(4, 1)], common()), (TypeError, ValueError)),
        (lambda: _core.project(None, common()), TypeError),
        (lambda: _core.project([], None), TypeError),
        (lambda: _core.project([(4, 1, ("signs", 0, 1))], common()), TypeError),
        (lambda: _core.adam([(0.1,)], common()), (TypeError, ValueError)),
        (lambda: _core.adam([("fast", 0.9, 0.9, 0.0, 0.0, False, [])], common()), TypeError),
        (lambda: _core.Reset("uniform", -1.0), ValueError),
        (lambda: _core.Reset("uniform", float("nan")), ValueError),
        (lambda: _core.Reset("often", 1.0), ValueError),
        (lambda: signs(4).laid_out([2]), ValueError),
        (lambda: signs(4).laid_out([1, 1]), ValueError),
        (lambda: signs(4).laid_out([-1]), OverflowError),
        (lambda: _core.Template.of_layers("x", [("w", [2**40, 2**40], b"")]), ValueError),
        (lambda: _core.Template.of_layers("x", [("w", [3], b"\1\1")]), ValueError),
        (lambda: _core.Template.of_layers("x", [("w", [1], b"\1"), ("w", [1], b"\1")]), ValueError),
        (lambda: _core.Template.from_bytes(b"\xff" * 64, "x"), ValueError),
        (lambda: _core.Rules("{"), ValueError),
        (lambda: _core.Rules("[]"), ValueError),
        (lambda: _core.Rules('{"w": {"dale": 0.5}}').template([("w", [2**40, 2**40], None)], "x"), ValueError),
    ],
)
def test_wrong_arguments_of_the_compiled_part_are_ordinary_exceptions(call, error):
    with pytest.raises(error):
        call()


# Any tensors at all


def any_tensor(draw):
    """A tensor of some kind, layout and state, often of the same small shape."""
    shape = draw.choice([(4, 3), (4, 3), (4, 3), (12,), (0, 3), (3, 4), (), (2, 3, 2)])
    kind = draw.randrange(14)
    tensor = torch.randn(shape) if shape else torch.tensor(0.5)
    if kind == 1 and tensor.dim() == 2:
        tensor = torch.randn(shape[::-1]).t()
    elif kind == 2 and tensor.dim() == 2:
        tensor = torch.randn(shape[0], 2 * shape[1])[:, ::2]
    elif kind == 3:
        tensor = torch.randn(()).expand(shape)
    elif kind == 4:
        tensor = tensor.to(draw.choice([torch.float64, torch.bfloat16, torch.float16]))
    elif kind == 5:
        tensor.untyped_storage().resize_(draw.choice([0, 4, 20]))
    elif kind == 6:
        tensor = torch.randn(100)[50 : 50 + tensor.numel()].view(shape)
    elif kind == 7:
        tensor = torch.complex(torch.zeros(shape), tensor).conj().imag
    elif kind == 8:
        tensor = tensor.to("meta")
    elif kind == 9:
        tensor[...] = draw.choice([float("nan"), float("inf"), 0.0, -0.0, 1e-45, 3e38])
    return tensor


def is_freed(tensor):
    """Whether a tensor's storage ends before it does."""
    return (
        isinstance(tensor, torch.Tensor)
        and tensor.device.type == "cpu"
        and tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size()
    )


@pytest.mark.parametrize("seed", range(200))
def test_any_tensors_in_any_place_step_or_are_refused(seed):
    """Parameters, gradients and state of all kinds, mixed, shared and swapped between steps."""
    draw = random.Random(seed)
    torch.manual_seed(seed)
    module = nn.Module()
    pool = []
    for number in range(draw.randrange(1, 5)):
        tensor = draw.choice(pool) if pool and draw.random() < 0.1 else any_tensor(draw)
        pool.append(tensor)
        try:
            module.register_parameter(f"p{number}", nn.Parameter(tensor))
        except (RuntimeError, TypeError):
            return
    parameters = list(module.parameters())
    plain = {f"p{n}": torch.ones(p.shape) for n, p in enumerate(parameters) if draw.random() < 0.6}
    expected = (TypeError, ValueError, KeyError, RuntimeError, NotImplementedError, IndexError)
    try:
        template = Template.from_signs(plain, "a test")
        cls = draw.choice([FrozenAdam, FrozenSGD, None])
        if cls is None:
            optimizer = torch.optim.SGD(parameters, lr=0.1, momentum=0.5)
            hold(optimizer, module, template)
        elif cls is FrozenSGD:
            optimizer = FrozenSGD(module, lr=0.1, momentum=0.5, signs=template)
        else:
            optimizer = FrozenAdam(module, lr=0.1, signs=template)
    except expected:
        return
    for _ in range(4):
        for parameter in parameters:
            choice = draw.random()
            try:
                if choice < 0.6:
                    parameter.grad = torch.randn(parameter.shape, dtype=parameter.dtype)
                elif choice < 0.75:
                    parameter.grad = any_tensor(draw)
                elif choice < 0.8:
                    parameter.grad = parameter.detach()
                elif choice < 0.85:
                    parameter.data = any_tensor(draw)
                elif choice < 0.9 and optimizer.state.get(parameter):
                    key = draw.choice(list(optimizer.state[parameter]))
                    if key != "step":
                        optimizer.state[parameter][key] = any_tensor(draw)
            except (RuntimeError, TypeError):
                pass
        tensors = [t for p in parameters for t in (p, p.grad, *optimizer.state.get(p, {}).values())]
        if isinstance(optimizer, torch.optim.SGD) and any(map(is_freed, tensors)):
            return  # PyTorch itself reads and writes past freed storages, and ends the process
        try:
            optimizer.step()
        except expected:
            continue
        for name in template:
            parameter = module.get_parameter(name)
            held = template.layers[name].held and parameter.grad is not None
            assert not held or not bool((parameter < 0).any()), name
