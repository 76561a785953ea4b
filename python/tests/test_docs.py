"""What docstrings say runs; the pages are in test_pages."""

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest
import torch
from torch import nn

import polarity_torch

README = Path(__file__).parents[1] / "README.md"
MODULES = [name for _, name, _ in pkgutil.iter_modules(polarity_torch.__path__) if name not in ("_core", "_fallback")]


def test_every_public_name_is_in_the_readme_or_documented_where_it_is_defined():
    text = README.read_text()
    for name in polarity_torch.__all__:
        thing = getattr(polarity_torch, name)
        assert name in text or getattr(thing, "__doc__", None), name


@pytest.mark.parametrize("name", MODULES)
def test_every_example_of_a_docstring_runs(name):
    module = importlib.import_module(f"polarity_torch.{name}")
    torch.manual_seed(0)
    globals_ = {**vars(polarity_torch), **vars(module), "torch": torch, "nn": nn}
    for test in doctest.DocTestFinder().find(module, name, globs=globals_):
        result = doctest.DocTestRunner().run(test)
        assert result.failed == 0, test.name
