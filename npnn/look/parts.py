"""The parts of the page: what each shows of a network, in words and figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from npnn.look import attribution
from npnn.look.ascent import visualize
from npnn.look.kernels import kernels
from npnn.look.maps import stages
from npnn.look.patches import exciting
from npnn.look.recurrent import GATES, recurrence
from npnn.look.space import space
from npnn.look.subject import Layer, Subject

__all__ = ["Part", "Parts"]

SEEN = 2000  # pictures among which the most exciting are sought
DRAWN = 1000  # pictures in the last layer's space


@dataclass
class Part:
    """A section: what it shows, its figures (PNG, and what they show in words), and how long it took."""

    name: str
    title: str
    text: str
    figures: list[tuple[bytes, str]] = field(default_factory=list)
    table: list[Sequence[str]] = field(default_factory=list)
    problem: str = ""
    seconds: float = 0.0


class Parts:
    """The data that all parts share, and a method for each part."""

    def __init__(self, net: Subject, images: Any, labels: Any, names: Any, picture: Any, layers: Any):
        self.net, self.names = net, names
        self.x = None if images is None else net.input(images)
        self.y = None if labels is None else np.asarray(labels)
        if self.x is not None and self.y is not None and len(self.x) != len(self.y):
            raise ValueError(f"there are {len(self.x)} inputs and {len(self.y)} labels")
        self.given = picture is not None
        self.picture = net.input(picture) if picture is not None else None
        self.asked = None if layers is None else [net.find(layer) for layer in layers]

    def parts(self) -> Iterator[tuple[Part, Callable[[Part], None]]]:
        yield Part("network", "The network", "Its layers in the order in which they are defined."), self.network
        of_pictures = self.x.ndim == 4 if self.x is not None else bool(self.net.of_kind("Conv"))
        if of_pictures or self.net.of_kind("Conv", "LazyConv"):
            text = (
                "The weights of a layer as pictures: grey is zero. Neighbours are alike. Below each row, which patterns of "
                "waves a kernel lets through."
            )
            yield Part("kernels", "Kernels", text), self.kernels
        if of_pictures:
            yield from self._of_pictures()
        if self.net.of_kind(*GATES):
            text = (
                "What the network holds at each step of one sequence; how large the gradient of the loss is with "
                "respect to the input of each step, where a line that falls to the left means that early steps are "
                "hardly learned from; and the eigenvalues of the recurrent matrix, by which a gradient is stretched or "
                "shrunk at each step (the circle: kept as it is)."
            )
            yield Part("recurrence", "Memory", text), self.recurrence
        elif self.x is not None and self.x.ndim == 2 and self.x.shape[1] == 2:
            yield Part("border", "The border", "What the network says for each point of the plane."), self.border
        elif not of_pictures:
            yield (
                Part("inputs", "Its inputs", "What follows on this page for other networks needs pictures."),
                self.inputs,
            )

    def _of_pictures(self) -> Iterator[tuple[Part, Callable[[Part], None]]]:
        text = (
            "For some units of a layer, the pieces of pictures in which they answer most strongly, cut to what the unit "
            "can see, and a picture that was made to excite the unit, beginning from noise. Grey is outside of the picture."
        )
        yield Part("units", "What excites a unit", text), self.units
        text = (
            "For each class a picture that was made to have the highest score. It shows what the network looks for, not "
            "what a person would draw."
        )
        yield Part("classes", "The picture of a class", text), self.classes
        text = (
            "What each layer makes of it: the ten maps that vary most, from their smallest value (dark) to their "
            "largest. Beside a pooling stands how much of what it is given cannot be told from what it gives."
        )
        yield Part("stages", "One picture on its way", text), self.stages
        text = (
            "Which pixels the answer depends on, by several methods: red speaks for the class, blue against it; bright "
            "is where class activation is high. Where methods disagree, trust none of them too much."
        )
        yield Part("answer", "Why this answer", text), self.answer
        text = (
            "Each thumbnail lies where the last layer has it (t-SNE: clusters are true, distances between clusters are "
            "not). Frames have the colour of the right class; mistakes are vermilion. Beside them, what the network "
            "holds for alike."
        )
        yield Part("space", "The space of the last layer", text), self.space

    # ---- what parts need

    def pictures(self, count: int) -> NDArray[Any]:
        if self.x is None:
            raise ValueError("there are no pictures to show it with")
        return self.x[:count]

    def labels(self, count: int) -> NDArray[Any] | None:
        return None if self.y is None else self.y[:count]

    @property
    def range(self) -> dict[str, Any]:
        """Black and white of the data, by channel."""
        x = self.pictures(SEEN)
        return {"low": x.min(axis=(0, 2, 3)), "high": x.max(axis=(0, 2, 3))}

    @property
    def one(self) -> NDArray[Any]:
        return self.pictures(1)[0] if self.picture is None else self.picture.reshape(self.picture.shape[-3:])

    @property
    def _contrast(self) -> NDArray[Any]:
        """The size of each channel, so that colours keep their balance on one scale."""
        black, white = self.range["low"], self.range["high"]
        return np.maximum(white - black, 1e-12)[:, None, None]

    def called(self, kind: Any) -> str:
        return str(kind) if self.names is None else self.names[int(kind)]

    def chosen(self) -> list[Layer]:
        """Three layers of maps, or those that were asked for."""
        if self.asked is not None:
            return self.asked
        every = self.net.of_kind("Conv2d")
        places = sorted({len(every) // 3, 2 * len(every) // 3, len(every) - 1})
        return [every[i] for i in places] if every else self.net.of_kind("Linear")[:1]

    # ---- the parts

    def network(self, part: Part) -> None:
        count = sum(p.numel() for p in self.net.model.parameters())
        shapes: dict[str, Any] = {}
        if self.x is not None:
            shapes = {name: value.shape[1:] for name, value in self.net.answers(self.x[:1], self.net.layers).items()}
        part.table = [("layer", "kind", "gives", "weights")]
        for layer in self.net.layers:
            size = sum(p.numel() for p in layer.module.parameters())
            gives = "×".join(map(str, shapes[layer.name])) if layer.name in shapes else ""
            part.table.append((layer.name, layer.kind, gives, f"{size:,}" if size else ""))
        part.text = f"{count:,} weights. Its layers in the order in which they are defined."
        if self.x is not None and self.y is not None and self.y.ndim == 1:
            right = self.net.outputs(self.x[:SEEN]).argmax(axis=1) == self.y[:SEEN]
            part.text += f" It is right for {100 * right.mean():.1f} % of {len(right):,} examples here."

    def kernels(self, part: Part) -> None:
        from npnn import plot

        convolutions = self.net.of_kind("Conv", "LazyConv")
        if not convolutions:
            shape = self.pictures(1).shape[1:]
            found = kernels(self.net, self.net.find(None, ("Linear",)), shape)
            part.text = "There is no convolution. These are the weights of the first layer, as pictures: grey is zero."
            self._draw(part, plot.kernel_sheet(found, 48, 12), f"The weights of {found.layer} as pictures.")
            return
        for layer in {layer.name: layer for layer in [convolutions[0], *(self.asked or [])]}.values():
            found = kernels(self.net, layer)
            dead = f", {int(found.dead.sum())} of them dead" if found.dead.any() else ""
            self._draw(part, plot.kernel_sheet(found), f"The {len(found.norms)} kernels of {found.layer}{dead}.")

    def units(self, part: Part) -> None:
        from npnn import plot

        x = self.pictures(SEEN)
        for layer in self.chosen():
            found = exciting(self.net, layer, x, self.labels(SEEN))
            found = exciting(self.net, layer, x, self.labels(SEEN), found.units[:6], 8)
            dream = visualize(self.net, layer, found.units.tolist(), x, steps=96)
            names = self.names if found.classes is not None else None
            alt = f"Six units of {found.layer}: for each a picture made for it, and eight pieces of data."
            self._draw(part, plot.exciting(found, names, dream, **self.range), alt)

    def classes(self, part: Part) -> None:
        from npnn import plot

        x = self.pictures(SEEN)
        count = self.net.outputs(x[:1]).shape[1]
        dream = visualize(self.net, None, range(min(count, 20)), x)
        titles = [f"{self.called(c)}\n{s:.3g}" for c, s in zip(dream.units, dream.scores, strict=True)]
        figure = plot.gallery(dream.pictures / self._contrast, titles)
        self._draw(part, figure, f"Pictures made for {', '.join(map(self.called, dream.units))}.")

    def stages(self, part: Part) -> None:
        from npnn import plot

        found = stages(self.net, self.one)
        kept = [s for s in found if not s.kind.startswith(("Dropout", "Identity"))]
        which = "the picture that was given" if self.given else "the first picture"
        self._draw(part, plot.stages(kept, self.one, **self.range), f"The maps of {len(kept)} layers for {which}.")

    def answer(self, part: Part) -> None:
        from npnn import plot

        x = self.pictures(4) if self.picture is None else np.concatenate([self.one[None], self.pictures(3)])
        classes, _ = attribution.scores_of(self.net, x)
        methods: dict[str, Callable[..., NDArray[Any]]] = {
            "gradient": attribution.gradient,
            "SmoothGrad": attribution.smooth_grad,
            # a colour shows no more than a hundredth of a score: 1e-3 takes ten times as long
            "integrated": partial(attribution.integrated_gradients, tolerance=2e-2),
            "Grad-CAM": attribution.grad_cam,
            "guided": attribution.guided_grad_cam,
            "occlusion": attribution.occlusion,
        }
        maps: dict[str, ArrayLike] = {}
        left_out = []
        for name, method in methods.items():
            try:
                maps[name] = method(self.net, x, classes)
            except ValueError as error:
                left_out.append(f"{name}: {error}")
        part.problem = "; ".join(left_out) and f"Left out: {'; '.join(left_out)}."
        titles = [f"says {self.called(c)}" for c in classes]
        self._draw(part, plot.attributions(x, maps, titles, **self.range), f"Four pictures by {', '.join(maps)}.")

    def space(self, part: Part) -> None:
        from npnn import plot

        x = self.pictures(DRAWN)
        found = space(self.net, x, self.labels(DRAWN), "tsne")
        alt = f"{len(x)} pictures in the space of {found.layer}; {len(found.mistakes)} are mistakes."
        self._draw(part, plot.space(found, x, self.names, **self.range), alt)

    def recurrence(self, part: Part) -> None:
        from npnn import plot

        if self.x is None or self.y is None:
            raise ValueError("it takes sequences and their classes")
        found = recurrence(self.net, self.x[:200], self.y[:200])
        self._draw(part, plot.recurrence({found.layer: found}), "Hidden values, gradients by step, eigenvalues.")

    def border(self, part: Part) -> None:
        from npnn import plot

        if self.x is None or self.y is None:
            raise ValueError("it takes points and their classes")
        figure = plot.decision_boundary(self.net.outputs, self.x, self.y, width=plot.PAGE * 0.7)
        self._draw(part, figure, "The regions of the plane by class, and the points.")

    def inputs(self, part: Part) -> None:
        if self.x is None:
            raise ValueError("there are no data to show it with")
        raise ValueError(
            f"an input has the shape {self.x.shape[1:]}, which is no picture, no sequence and no point of a plane"
        )

    def _draw(self, part: Part, figure: Any, alt: str) -> None:
        from npnn.plot.style import encoded

        part.figures.append((encoded(figure), alt))
