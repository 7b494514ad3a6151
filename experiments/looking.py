"""What can be seen of a network while it learns, of the loss around its solution, and of its memory?

    python -m experiments.looking            the figures: film, surface, memory (about a minute)
    python -m experiments.looking pages      the pages of the saved models

KERNELS.  Those of a small network on 8 x 8 digits keep their places from the first steps on: what they are is
decided early, and then contrast grows (look-film).

THE LOSS.  In as many steps and from the same weights SGD goes least far, and ends where the loss is still large;
momentum and Adam come into the valley (look-surface; each on the plane of its own way, 90 to 99 % of which lie in it).
Their ways are bent: first down the slope, then along the valley.

MEMORY.  With an orthogonal recurrent matrix the gradient of the first step is about as large as that of the last
before anything is learned: 1/3 of it at T = 20, 1/25 at T = 50.  With the usual weights it is 1/20,000 at T = 20, and at
T = 50 nothing (look-memory): such a network cannot learn what its first digit was.  Once it has learned, the first
digit is the one that its answer depends on most.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import npnn
from experiments import rnn_palindrome
from npnn import look, nn, optim, plot
from npnn.data import DataLoader, TrainTest, load_digits, make_toy
from npnn.errors import DataError
from npnn.experiment.config import replace
from npnn.experiment.results import restored
from npnn.train import Trainer

__all__ = ["digits", "film", "landscape", "main", "memory", "pages"]

FIGS = Path("figs")
SAVED = ("cnn_cifar10-best", "mnist-best-cnn", "mlp_cifar10-best", "mnist-best-mlp", "rnn_palindrome-T10")


def digits(channels: int = 16) -> Any:
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(channels, 2 * channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(8 * channels, 10),
    )  # fmt: skip


def moons() -> Any:
    return nn.Sequential(nn.Linear(2, 20), nn.ReLU(), nn.Linear(20, 2))


def train(model: Any, data: TrainTest, optimizer: Any, epochs: int, *callbacks: Any) -> None:
    trainer = Trainer(model, nn.CrossEntropyLoss(), optimizer, callbacks=callbacks, progress=False)
    trainer.fit(DataLoader(data.train, 32, shuffle=True), epochs)


def film(epochs: int = 8) -> dict[str, Any]:
    """A network that learns digits: its kernels, its values and gradients, its kernels before and after."""
    npnn.manual_seed(0)
    data, model = load_digits(), digits()
    before = look.kernels(model)
    kept = look.Film(data.test_x[:64], every=6)
    train(model, data, optim.Adam(model.parameters(), 1e-3), epochs, kept)
    FIGS.mkdir(exist_ok=True)
    plot.film_gif(kept.frames, FIGS / "look-film.gif", kernels=16)
    return {
        "look-film": plot.film(kept.frames),
        "look-values": plot.ridgelines(kept.frames),
        "look-change": plot.kernel_change(before, look.kernels(model)),
    }


OPTIMIZERS = {
    "SGD": lambda parameters: optim.SGD(parameters, 0.1),
    "momentum": lambda parameters: optim.SGD(parameters, 0.1, momentum=0.9),
    "Adam": lambda parameters: optim.Adam(parameters, 0.01),
}


def landscape(epochs: int = 12, resolution: int = 31) -> dict[str, Any]:
    """The loss around what three optimisers found, on the plane of the way each took: of an MLP and of a CNN."""
    figures = {}
    for name, make, data in (("mlp", moons, make_toy("moons")), ("cnn", digits, load_digits())):
        found = {}
        for label, optimizer in OPTIMIZERS.items():
            npnn.manual_seed(0)
            model, way = make(), look.Path(every=5)
            train(model, data, optimizer(model.parameters()), epochs, way)
            x, y = data.train_x[:300], data.train_y[:300]
            found[label] = look.surface(model, nn.CrossEntropyLoss(), x, y, path=way.points, resolution=resolution)
        figures[f"look-surface-{name}"] = plot.surface(found)
    return figures


def memory(lengths: tuple[int, ...] = (5, 20, 50), steps: int = 300) -> dict[str, Any]:
    """Vanilla networks that read palindromes, before training with both kinds of weights, and after it."""
    found: dict[str, Any] = {}
    for T in lengths:
        for init in ("default", "memory"):
            config = replace(rnn_palindrome.VARIANTS["T10"], T=T, init=init, steps=steps)
            npnn.manual_seed(0)
            data = rnn_palindrome.data(config)
            model = rnn_palindrome.build(nn, config)
            x, y = data.test_x[:200], data.test_y[:200]
            words = "usual weights" if init == "default" else "orthogonal"
            found[f"T {T}, {words}"] = look.recurrence(model, x, y)
        trainer = Trainer(model, nn.CrossEntropyLoss(), rnn_palindrome.optimizer(optim, model, config), progress=False,
                          clip_grad_norm=config.clip_grad_norm)  # fmt: skip
        trainer.fit(DataLoader(data.train, config.batch_size, shuffle=True), max_steps=steps)
        found[f"T {T}, trained"] = look.recurrence(model, x, y)
    return {"look-memory": plot.recurrence(found)}


def units(model: Any, data: TrainTest) -> Any:
    """Six units in the middle of a network: the pictures made for them, and the pieces of the data that excite them."""
    x, y = data.test_x[:2000], data.test_y[:2000]
    layer = look.subject(model).find(4, ("Conv2d",))
    chosen = look.exciting(model, layer, x).units[:6]
    found = look.exciting(model, layer, x, y, chosen)
    dream = look.visualize(model, layer, chosen, x)
    return plot.exciting(found, data.classes, dream, x.min(axis=(0, 2, 3)), x.max(axis=(0, 2, 3)))


def pages(folder: Path = FIGS) -> None:
    """The page of each saved model whose data are here, and a figure of the first."""
    for stem in SAVED:
        file = Path("best_models") / f"{stem}.safetensors"
        saved = restored(file)
        try:
            data = saved.experiment.data(saved.config)
        except DataError as error:
            print(f"{stem}: {error}")
            continue
        if stem == SAVED[0]:
            plot.save(units(saved.model, data), folder / "look-units.png")
        title = f"{saved.run['experiment']}, {saved.run['variant']}: what the network has learned"
        page = look.look(saved.model, data.test_x, data.test_y, data.classes, title=title)
        size = page.save(folder / f"look-{stem}.html")
        print(f"{folder / f'look-{stem}.html'}, {size / 1e6:.1f} MB")


def main(words: list[str]) -> None:
    if words == ["pages"]:
        pages()
        return
    FIGS.mkdir(exist_ok=True)
    for name, figure in {**film(), **landscape(), **memory()}.items():
        plot.save(figure, FIGS / f"{name}.png")
        print(FIGS / f"{name}.png")


if __name__ == "__main__":
    main(sys.argv[1:])
