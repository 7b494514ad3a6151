"""The page of chosen runs."""

from __future__ import annotations

import base64
import dataclasses

import numpy as np

from npnn.experiment.command_line import main
from npnn.experiment.job import Job
from npnn.experiment.numbers import write
from npnn.experiment.report import page
from npnn.experiment.rows import mean_and_spread
from npnn.experiment.run import run, seeds


def test_a_report_is_one_page_that_needs_nothing_else(toy, folders, tmp_path, capsys):
    words = [word for name, folder in folders._asdict().items() for word in (f"--{name}", str(folder))]
    circles = Job(toy, "circles", toy.VARIANTS["circles"])
    other = Job(toy, "moons", dataclasses.replace(toy.VARIANTS["moons"], lr=0.5))
    for job in (circles, other):
        run(job, folders)
    page = tmp_path / "out" / "page.html"
    assert main(["report", "--out", str(page), *words]) == 0
    text = page.read_text()
    assert text.count("<section") == 1
    assert "S1-2: reported 79.5 | 82.0 %; one run." in text
    assert text.count("data:image/png;base64,") == 1
    assert "python -m experiments run mlp_toy --variant circles" in text
    assert "<script" not in text
    assert "http" not in text
    assert main(["report", circles.stem, other.stem, "--out", str(page), *words]) == 0
    assert page.read_text().count("<section") == 2
    assert '<td class="changed">0.5</td>' in page.read_text()
    assert main(["report", "mlp_toy-nothing", "--out", str(page), *words]) == 1
    assert "there is no finished run 'mlp_toy-nothing'" in capsys.readouterr().err


def test_the_figure_of_all_variants_opens_the_experiment(toy, folders):
    for variant in ("moons", "circles"):
        run(Job(toy, variant, toy.VARIANTS[variant]), folders)
    folders.overview("mlp_toy").write_bytes(b"all of them")
    text = page(["mlp_toy-moons", "mlp_toy-circles"], folders)
    assert text.count(base64.b64encode(b"all of them").decode()) == 1
    assert text.count("All variants together") == 1
    assert text.count(f'<p class="lead">{toy.question}') == 1
    assert text.index("All variants together") < text.index('id="mlp_toy-circles"')


def test_a_run_and_its_twin_are_one_section_with_all_seeds(toy, folders):
    """The twin's numbers are written as if torch had run: the test goes without it."""
    first, second = (run(one, folders, keep=False) for one in seeds(Job(toy, "moons", toy.VARIANTS["moons"]), 2))
    accuracies = [result.metrics["accuracy"] for result in (first, second)]
    losses = [result.metrics["loss"] for result in (first, second)]
    write({**first.numbers, "backend": "torch"}, folders.results / "mlp_toy-moons.json", "mlp_toy-moons-torch")
    text = page(["mlp_toy-moons", "mlp_toy-moons-torch"], folders)
    assert text.count('<section id="mlp_toy-moons"') == text.count("<section") == 1
    assert f"<td>npnn</td><td>{mean_and_spread(accuracies)}</td><td>{np.median(losses):.4g}</td>" in text
    assert f"<td>torch</td><td>{mean_and_spread(accuracies[:1])}</td><td>{losses[0]:.4g}</td>" in text
