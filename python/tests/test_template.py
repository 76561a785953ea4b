import copy
import hashlib
import json
import pickle
import struct

import numpy as np
import pytest
import torch
from conftest import VECTORS
from torch import nn

from polarity_torch import Template, apply_rules, builtin_templates, dale, edges


def vector(name):
    return (VECTORS / f"{name}.safetensors").read_bytes()


def test_a_file_is_read_and_written_byte_for_byte_as_rust_does(tmp_path):
    for name in ("template", "random", "ruled"):
        template = Template.load(VECTORS / f"{name}.safetensors")
        assert template.to_bytes() == vector(name)
        template.save(tmp_path / "copy.safetensors")
        assert (tmp_path / "copy.safetensors").read_bytes() == vector(name)


def test_the_same_seed_gives_the_signs_of_the_rust_program():
    template = Template.load(VECTORS / "template.safetensors")
    random = template.random_like(5, 0.3)
    assert random.to_bytes() == vector("random")
    assert template.random_like(5).to_bytes() == vector("own-shares")
    assert random.shuffle(11).to_bytes() == vector("shuffled")
    assert random.shuffle(11, within="filter").to_bytes() == vector("shuffled-filters")
    assert random.flip(0.25, 13).to_bytes() == vector("flipped")
    assert random.opposite().to_bytes() == vector("opposite")
    assert template.filled_from(random).to_bytes() == vector("filled")


def test_the_digest_is_that_of_the_bits_in_the_file():
    data = vector("template")
    (length,) = struct.unpack("<Q", data[:8])
    metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    template = Template.from_bytes(data)
    assert template.digest == metadata["digest"] == hashlib.sha256(data[8 + length :]).hexdigest()


def test_built_in_templates_are_loaded_by_name():
    assert builtin_templates() == ["alexnet-imagenet", "squeezenet-imagenet"]
    template = Template.load("alexnet-imagenet")
    assert template.signs("features.0.weight").shape == (64, 3, 11, 11)
    assert template.weights == 2_468_544 and template.held == template.weights


def test_signs_are_those_of_the_weights_and_zeros_are_free(net):
    with torch.no_grad():
        net[0].weight[1, 1] = 0.0
    template = Template.from_module(net)
    assert list(template) == ["0.weight", "3.weight", "6.weight"]
    signs = template.signs("0.weight")
    assert signs.dtype == np.int8
    assert (signs == np.sign(net[0].weight.detach().numpy())).all()
    assert template.layers["0.weight"].held == net[0].weight.numel() - 9


def test_a_template_takes_its_bits_and_little_more(net, tmp_path):
    net = nn.Linear(1000, 1000)
    path = tmp_path / "t.safetensors"
    Template.from_module(net).save(path)
    assert path.stat().st_size * 8 <= 1.01 * 1_000_000


def test_include_and_exclude_choose_by_pattern(net):
    names = lambda **choice: list(Template.from_module(net, **choice))
    assert names(include="*.weight") == ["0.weight", "1.weight", "3.weight", "6.weight"]
    assert names(include=["0.*", "6.bias"]) == ["0.bias", "0.weight", "6.bias"]
    assert names(exclude="?.weight") == []
    assert names(include="*", exclude=["*.bias", "1.*"]) == ["0.weight", "3.weight", "6.weight"]


def test_a_pattern_that_matches_nothing_is_refused_with_the_nearest_name(net):
    with pytest.raises(KeyError, match="include: `0.wieght` matches none of .*did you mean `0.weight`"):
        Template.from_module(net, include="0.wieght")
    with pytest.raises(KeyError, match="exclude"):
        Template.from_module(net, exclude="features.*")


def test_nan_is_refused_by_name_and_index(net):
    with torch.no_grad():
        net[3].weight[0, 0, 0, 2] = float("nan")
    with pytest.raises(ValueError, match="3.weight: weight 2: has no sign"):
        Template.from_module(net)


def test_a_state_dict_gives_the_template_of_its_module(net):
    state = net.state_dict()
    assert Template.from_state_dict(state).digest == Template.from_module(net).digest
    wrapped = {f"module.{name}": tensor for name, tensor in state.items()}
    assert list(Template.from_state_dict(wrapped)) == list(Template.from_module(net))


def test_random_signs_have_the_share_asked_for_and_follow_the_seed():
    net = nn.Linear(300, 300)
    template = Template.random(net, 3, positive=0.25)
    # Five standard deviations of a binomial(90,000, 0.25) count.
    assert abs(template.positive - 0.25) < 0.0073
    assert template == Template.random(net, 3, positive=0.25) != Template.random(net, 4, positive=0.25)
    with pytest.raises(ValueError, match="positive: expected a number in"):
        Template.random(net, 3, positive=1.5)


def test_what_is_derived_keeps_its_counts_and_says_how_it_was_made(net):
    template = Template.random(net, 1, positive=0.3)
    shuffled = template.shuffle(2)
    assert shuffled.layers == template.layers and "shuffled within each tensor, seed 2" in shuffled.source
    assert template.flip(1.0, 0).agreement(template).overall == 0.0
    agreement = template.flip(0.25, 3).agreement(template)
    assert agreement.overall == pytest.approx(0.75, abs=0.01) and set(agreement.layers) == set(template)
    assert list(template.subset("0", "3.weight")) == ["0.weight", "3.weight"]


def test_what_cannot_be_derived_is_refused(net):
    template = Template.from_module(net)
    for refused, error, text in [
        (lambda: template.shuffle(0, within="layer"), ValueError, "within: expected `tensor` or `filter`"),
        (lambda: template.flip(-0.1, 0), ValueError, "fraction: expected a number in"),
        (lambda: template.flip(float("nan"), 0), ValueError, "fraction"),
        (lambda: template.subset("7"), KeyError, "matches nothing"),
        (lambda: template.signs("7.weight"), KeyError, "7.weight: no layer of the template"),
        (lambda: template.agreement(Template.from_module(nn.Sequential(nn.Linear(2, 2)))), ValueError, "0.weight"),
        (lambda: template.shuffle(-1), OverflowError, "negative"),
    ]:
        with pytest.raises(error, match=text):
            refused()


def test_a_damaged_file_is_refused_by_name(tmp_path):
    data = vector("template")
    path = tmp_path / "broken.safetensors"
    for broken in (data[:-1], data[:40], b"", data[:-1] + bytes([data[-1] ^ 1]), data.replace(b"sha256", b"sha257")):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match="broken.safetensors"):
            Template.load(path)


def test_every_truncation_and_every_flipped_bit_is_refused():
    data = vector("template")
    for length in range(len(data)):
        with pytest.raises(ValueError):
            Template.from_bytes(data[:length])
    for place in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[place] ^= 1 << bit
            with pytest.raises(ValueError):
                Template.from_bytes(bytes(damaged))


def test_a_missing_file_is_not_found_and_an_unwritable_one_an_os_error(tmp_path, net):
    with pytest.raises(FileNotFoundError, match="no-such"):
        Template.load("no-such.safetensors")
    with pytest.raises(OSError, match="cannot be read"):
        Template.load(tmp_path)
    with pytest.raises(OSError, match="cannot be written"):
        Template.from_module(net).save(tmp_path / "no" / "such.safetensors")


def test_templates_do_not_change_and_survive_copies_and_pickles(net):
    template = Template.from_module(net)
    assert copy.deepcopy(template) is template
    assert pickle.loads(pickle.dumps(template)) == template
    assert hash(pickle.loads(pickle.dumps(template))) == hash(template)
    with pytest.raises(AttributeError):
        template.source = "elsewhere"
    with pytest.raises(TypeError, match="Template.load"):
        Template()


def test_its_repr_says_weights_held_share_and_bits(net):
    text = repr(Template.from_module(net))
    assert text.startswith("<Template: 938 weights in 3 tensors, 100.0 % held, 938 bits; the signs of a Sequential")
    half = Template.from_signs({"w": [1, 0, -1, 0]}, "a test")
    assert "4 weights in 1 tensors, 50.0 % held, 8 bits" in repr(half)


def test_signs_come_as_arrays_tensors_or_lists():
    for signs in ([[1.0, -2.0]], np.array([[3, -1]]), torch.tensor([[0.5, -0.5]])):
        assert Template.from_signs({"w": signs}, "a test").signs("w").tolist() == [[1, -1]]


def test_tied_weights_are_taken_once():
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    net[1].weight = net[0].weight
    assert list(Template.from_module(net)) == ["0.weight"]


def test_tensors_without_values_are_refused_by_name():
    with pytest.raises(TypeError, match="weight: is on the meta device"):
        Template.from_module(nn.Linear(2, 2, device="meta"))
    with pytest.raises(TypeError, match="weight: is lazy"):
        Template.from_module(nn.LazyLinear(2))
    with pytest.raises(TypeError, match="w: is a sparse tensor"):
        Template.from_signs({"w": torch.eye(2).to_sparse()}, "a test")
    with pytest.raises(TypeError, match="w: is complex"):
        Template.from_signs({"w": torch.ones(2, dtype=torch.complex64)}, "a test")


def test_rules_make_the_template_of_the_rust_program():
    net = nn.Module()
    net.ff = nn.Sequential(nn.Linear(3, 4))
    net.rec = nn.Parameter(torch.ones(10, 10))
    net.rows = nn.Parameter(torch.ones(3, 2, 2))
    net.out = nn.Parameter(torch.ones(2, 3))
    rules = {
        "*.bias": "free",
        "ff.*": "positive",
        "rec": dale(0.8, seed=3),
        "rows": dale([1, -1, 0], axis="row"),
        "out": edges([(0, 1, "+"), (2, 0, -1)]),
    }
    assert apply_rules(rules, net).template.digest == Template.load(VECTORS / "ruled.safetensors").digest
