"""Without the compiled part everything works, with the same results and one warning."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import network
from hypothesis import given, settings
from hypothesis import strategies as st

import polarity_torch
from polarity_torch import COMPILED, Template, apply_rules, dale
from polarity_torch._fallback import Rules as PlainRules
from polarity_torch._fallback import Template as PlainTemplate
from polarity_torch._fallback.template import CREATED_BY

HERE = os.path.dirname(os.path.dirname(polarity_torch.__file__))


def run(code):
    """What a fresh Python prints that cannot load the compiled part."""
    lines = f"import sys; sys.path.insert(0, {HERE!r}); sys.modules['polarity_torch._core'] = None\n{code}"
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_importing_never_fails_and_warns_once():
    said = run("import polarity_torch\nfrom polarity_torch import hold, FrozenAdam\nprint(polarity_torch.COMPILED)")
    assert said.count("RuntimeWarning: polarity_torch: the compiled part cannot be loaded") == 1
    assert said.startswith("False")


def test_a_step_without_it_is_the_step_with_it():
    code = """
import torch
from polarity_torch import FrozenAdam, Template
torch.manual_seed(0)
net = torch.nn.Linear(40, 30)
optimizer = FrozenAdam(net, lr=0.1, signs=Template.random(net, 3))
for step in range(10):
    torch.manual_seed(step)
    net.weight.grad, net.bias.grad = torch.randn(30, 40), torch.randn(30)
    optimizer.step()
print(net.weight.detach().view(torch.int32).flatten().tolist(), optimizer.counts())
"""
    with_it = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {HERE!r})\n{code}"], capture_output=True, text=True
    )
    assert with_it.returncode == 0, with_it.stderr
    assert run(code).splitlines()[0] == with_it.stdout.splitlines()[0]


both = pytest.mark.skipif(not COMPILED, reason="there is nothing to compare with")


@both
def test_it_names_the_program_that_the_compiled_part_is():
    assert Template.from_signs({"w": [1]}, "a test").created_by == CREATED_BY


@both
@given(
    signs=st.lists(st.integers(-1, 1), min_size=0, max_size=300),
    rows=st.integers(1, 7),
    seed=st.integers(0, 2**64 - 1),
    share=st.sampled_from([0.0, 0.1, 0.25, 0.5, 1 / 3, 0.7, 1.0, 1e-7]),
    name=st.text(min_size=1, max_size=8).filter(lambda name: "\0" not in name),
)
@settings(max_examples=150, deadline=None)
def test_templates_are_derived_and_written_alike(signs, rows, seed, share, name):
    signs = signs[: len(signs) // rows * rows]
    entries = np.array(signs, dtype=np.int8).tobytes()
    layers = [(name, [rows, len(signs) // rows], entries), ("other.weight", [3], b"\x01\xff\x01")]
    if name == "other.weight":
        return
    ours = polarity_torch._backend.core.Template.of_layers("a test", layers)
    plain = PlainTemplate.of_layers("a test", layers)
    other = ours.random_like(0.5, 1), plain.random_like(0.5, 1)
    for change in (
        lambda t, o: t,
        lambda t, o: t.shuffled("tensor", seed),
        lambda t, o: t.shuffled("filter", seed),
        lambda t, o: t.flipped(share, seed),
        lambda t, o: t.random_like(share, seed),
        lambda t, o: t.random_like(None, seed),
        lambda t, o: t.opposite(),
        lambda t, o: t.filled_from(o),
        lambda t, o: t.subset(["other"]),
    ):
        made, again = change(ours, other[0]), change(plain, other[1])
        assert made.to_bytes() == again.to_bytes()
        assert made.digest() == again.digest() and made.layers() == again.layers()
        assert PlainTemplate.from_bytes(made.to_bytes(), "x").to_bytes() == made.to_bytes()
    assert ours.agreement(other[0]) == plain.agreement(other[1])


@both
@given(
    share=st.floats(0, 1),
    seed=st.integers(0, 2**64 - 1),
    units=st.integers(1, 40),
    axis=st.sampled_from(["row", "column"]),
)
@settings(max_examples=100, deadline=None)
def test_rules_are_drawn_and_said_alike(share, seed, units, axis):
    import json

    text = json.dumps({"rec*": dale(share, seed=seed, axis=axis), "*": "free"})
    tensors = [("rec.weight", [units, units], None), ("bias", [units], None)]
    made, report = polarity_torch._backend.core.Rules(text).template(tensors, "a test")
    again, said = PlainRules(text).template(tensors, "a test")
    assert made.to_bytes() == again.to_bytes() and report == said


@both
def test_patterns_match_alike():
    core = polarity_torch._backend.core
    names = ["a.weight", "a.bias", "ab", "", "a[0]", "ä\n", "A.weight"]
    for pattern in ["*", "a.*", "?.bias", "a?", "", "a[0]", "*\n", "a**t", ".", "??"]:
        assert core.matching(pattern, names) == polarity_torch._fallback.matching(pattern, names)


def test_a_template_of_a_network_has_its_digest_either_way():
    net = network()
    assert apply_rules({"*.weight": "own"}, net).template.digest == Template.from_module(net, include="*.weight").digest
    assert torch.equal(torch.tensor(Template.from_module(net).signs("0.weight")), net[0].weight.sign().to(torch.int8))
