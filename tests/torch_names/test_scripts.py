"""The benchmark that runs whole scripts in both frameworks counts equal numbers, and tells what failed where."""

from __future__ import annotations

import pytest

from benchmarks import scripts


def test_numbers_are_compared_to_four_digits():
    assert scripts.same("epoch 1: 0.50001 and 2.0e-3", "epoch 9: 0.50002 and 2.1e-3") == (1, 2)
    assert scripts.same("1.5", "1.5 2.5 3.5") == (1, 3)
    assert scripts.same("nothing", "at 3 all") == (0, 0)


def test_a_script_runs_in_both_and_an_error_is_told(tmp_path):
    pytest.importorskip("torch")
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text("import torch\ntorch.manual_seed(3)\nprint(torch.rand(4).tolist())\nprint(torch.__name__)\n")
    bad.write_text("import torch\nraise KeyError(torch.ones(2).sum().item())\n")
    first, second = scripts.measure([good, bad])
    assert (first["equal"], first["numbers"]) == (4, 4)
    assert first["errors"] == {"npnn": "", "torch": ""}
    assert second["errors"] == {"npnn": "KeyError: 2.0", "torch": "KeyError: 2.0"}
    assert "KeyError: 2.0" in scripts.table([first, second])


def test_a_script_that_does_not_end_is_stopped(tmp_path):
    script = tmp_path / "endless.py"
    script.write_text("while True:\n    pass\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scripts, "PEERS", {"npnn": [], "torch": []})
        (row,) = scripts.measure([script], limit=0.5)
    assert row["errors"] == {"npnn": "more than 0.5 seconds", "torch": "more than 0.5 seconds"}


def test_a_missing_script_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no script"):
        scripts.measure([tmp_path / "none.py"])
