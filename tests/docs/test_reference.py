"""Every public name has a docstring, an example that holds, and PyTorch's page, where PyTorch has the name.

The examples of names that PyTorch has run there, too, and print the same.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
import warnings

import pytest

import npnn
from docs.reference import examples, names, pages
from docs.reference.docstrings import rst
from npnn.data import download
from npnn.errors import DataError
from tests.parity import torch

ENTRIES = names.entries()
EXAMPLES = examples.read()
IDS = [entry.address for entry in ENTRIES]


def no_network(*args):
    raise OSError("tests download nothing")


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch, tmp_path):
    """Examples change the default dtype, the stream and the figures: all is put back."""
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setattr(download, "_receive", no_network)
    with npnn.random.fork_rng():
        yield
    if torch is not None:
        torch.use_deterministic_algorithms(False)
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
        torch.set_float32_matmul_precision("highest")
    npnn.set_default_dtype(npnn.float32)


def test_every_name_has_an_example_and_every_example_a_name():
    wanted = {(entry.module, entry.name) for entry in ENTRIES}
    found = {(module, name) for module, of in EXAMPLES.items() for name in of.by_name}
    assert found == wanted


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_docstring(entry):
    said = inspect.getdoc(entry.value) or ""
    formula = re.search(r"[=|√²⁻^/⌊]|All elements|exchanged|Standard normal", said)
    assert formula or len(said.split()) >= 4 or pages.completed(said) != said, (
        f"{entry.address} does not say what it is"
    )
    assert rst(said), entry.address
    assert (names.ROOT / entry.file).exists()
    assert pages.chapter_of(entry.file) in pages.CHAPTERS


def run(test: doctest.DocTest) -> str:
    """What went wrong in a doctest; skips one whose data, or whose optional package, are not here."""
    said: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    runner.run(test, out=said.append, clear_globs=False)
    if DataError.__name__ in "".join(said):
        pytest.skip("needs data that are not here")
    absent = re.search(r"needs ([\w-]+): pip install", "".join(said))
    if absent:
        pytest.skip(f"{absent[1]} is not installed")
    return "".join(said)


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_example(entry):
    if torch is None and "import torch" in EXAMPLES[entry.module].by_name[entry.name]:
        pytest.skip("needs torch")
    assert run(EXAMPLES[entry.module].test(entry.name)) == ""


# what PyTorch answers otherwise, and why
OTHERWISE = {
    "npnn.are_deterministic_algorithms_enabled": "npnn's always are",
    "npnn.chain_matmul": "PyTorch warns that it is old",
    "npnn.compile": "PyTorch wraps the model",
    "npnn.complex": "npnn has no complex numbers",
    "npnn.nn.RMSNorm": "PyTorch's is made of several operations, the last of which is a product",
    "npnn.utils.tensorboard.SummaryWriter": "needs another package there",
    "npnn.autograd.detect_anomaly": "PyTorch warns that it is slow",
    "npnn.amp.GradScaler": "npnn needs no scaling: float32 is computed in float32",
    "npnn.amp.autocast": "npnn computes in float32",
}


@pytest.mark.skipif(torch is None, reason="needs torch")
@pytest.mark.parametrize("entry", [e for e in ENTRIES if names.torch_name(e)], ids=lambda entry: entry.address)
def test_example_in_torch(entry):
    """The text of the example, with torch in the place of npnn."""
    if entry.address in OTHERWISE:
        pytest.skip(OTHERWISE[entry.address])
    found = EXAMPLES[entry.module]
    setting = found.setting.replace("import npnn", "import torch as npnn").replace("from npnn", "from torch")
    setting = setting.replace("from torch import data", "import torch.utils.data as data")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is old in torch
        assert run(found.test(entry.name, setting)) == ""


@pytest.mark.skipif(torch is None, reason="needs torch")
def test_pages_of_torch_are_of_names_that_it_has():
    def has(address: str) -> bool:
        module, _, name = address.rpartition(".")
        try:
            return hasattr(importlib.import_module(module), name)
        except ModuleNotFoundError:  # tensorboard is a package of its own
            return module == "torch.utils.tensorboard"

    assert [entry.address for entry in ENTRIES if names.torch_name(entry) and not has(names.torch_name(entry))] == []
    own = [
        e.address
        for e in ENTRIES
        if e.name in names.OWN.get(e.module, ()) and has(e.address.replace("npnn", "torch", 1))
    ]
    assert own == []


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("y = x²   dx = 2x dy", ".. code-block:: text"),
        ("All *names*, x_ and ``code``.", "All \\*names\\*, x\\_ and ``code``."),
        ("Errors: ValueError for nothing.", "**Errors:** ValueError for nothing."),
        ("a    the first\nb    the second", ".. code-block:: text"),
        ("(a) is no list.", "\\(a) is no list."),
    ],
)
def test_docstrings_become_what_sphinx_reads(said, shown):
    assert shown in rst(said)
