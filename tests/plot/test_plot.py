"""Figures are made of the right things: lines with the given numbers, labels, limits, scales."""

from __future__ import annotations

import builtins
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed: no figures")

from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from npnn import plot
from npnn.train.history import History


def history(n=20, validation=True, accuracy=True):
    result = History()
    for epoch in range(1, n + 1):
        record = {"epoch": epoch, "step": 10 * epoch, "train_loss": 2.0 / epoch}
        if accuracy:
            record["train_accuracy"] = 1 - 0.5 / epoch
        if validation:
            record |= {"validation_loss": 2.5 / epoch, "validation_accuracy": 1 - 0.7 / epoch}
        result.append(record)
    return result


def legend_texts(fig):
    return [text.get_text() for legend in fig.legends for text in legend.get_texts()]


def drawn(fig):
    """Run the layout and the drawing, as saving would."""
    fig.canvas.draw()
    return fig


# ---- curves


def test_curves_show_train_and_test_loss_and_accuracy_in_percent():
    fig = drawn(plot.curves(history()))
    loss, accuracy = fig.axes
    assert (loss.get_ylabel(), accuracy.get_ylabel()) == ("cross-entropy (nats)", "accuracy (%)")
    assert loss.get_xlabel() == accuracy.get_xlabel() == "epoch"
    np.testing.assert_array_equal(loss.lines[0].get_ydata(), 2.0 / np.arange(1, 21))
    np.testing.assert_allclose(accuracy.lines[1].get_ydata(), 100 - 70 / np.arange(1, 21))
    assert legend_texts(fig) == ["train", "test"]
    assert accuracy.get_ylim()[1] <= 101


def test_train_and_test_differ_in_more_than_colour():
    train, test = plot.curves(history()).axes[0].lines
    assert train.get_linewidth() < test.get_linewidth()
    assert train.get_marker() == ""
    assert test.get_marker() == "o"


def test_two_runs_are_drawn_under_the_largest_difference_of_their_losses():
    ours, theirs = history(), history()
    apart = 3e-7
    for record in theirs.records[7:9]:
        record["validation_loss"] += apart
    assert drawn(plot.curves({"npnn": ours, "torch": theirs})).axes[0].get_title() == "largest difference 3e-07"
    assert plot.curves({"npnn": ours, "torch": theirs, "third": ours}).axes[0].get_title() == ""
    theirs.records.pop()  # not the same places: nothing to subtract
    assert plot.curves({"npnn": ours, "torch": theirs}).axes[0].get_title() == ""


@pytest.mark.parametrize("order", [("npnn", "torch"), ("torch", "npnn"), ("torch", "npnn", "another")])
def test_a_framework_looks_the_same_in_every_figure(order):
    fig = plot.curves({label: history() for label in order})
    looks = {line.get_label(): line for line in fig.axes[0].lines}
    assert to_hex(looks["npnn test"].get_color()) == "#0072b2"
    assert looks["npnn test"].get_linestyle() == "-"
    assert to_hex(looks["torch test"].get_color()) == "#d55e00"
    assert looks["torch test"].get_linestyle() == "--"
    assert len({to_hex(line.get_color()) for line in looks.values()}) == len(order)
    assert legend_texts(fig) == [f"{label} {side}" for label in order for side in ("train", "test")]


def losses(*values):
    result = History()
    for epoch, value in enumerate(values, 1):
        result.append({"epoch": epoch, "train_loss": value, "validation_loss": value})
    return result


@pytest.mark.parametrize(
    ("values", "scale", "from_zero"),
    [((2.4, 2.1), "linear", False), ((2.4, 1.1), "linear", True), ((2.4, 0.1), "log", False)],
)
def test_the_scale_of_the_loss_leaves_no_half_of_the_panel_empty(values, scale, from_zero):
    loss, _ = drawn(plot.curves(losses(*values))).axes
    assert loss.get_yscale() == scale
    assert (loss.get_ylim()[0] == 0) == from_zero
    assert loss.get_ylim()[0] > 0.8 * min(values) or from_zero


def test_the_scale_of_the_loss_can_be_chosen_and_survives_zeros_and_gaps():
    assert plot.curves(losses(2.4, 0.1), log_loss=False).axes[0].get_yscale() == "linear"
    assert drawn(plot.curves(losses(2.0, None, 0.0))).axes[0].get_yscale() == "linear"
    drawn(plot.curves(losses(None)))


@pytest.mark.parametrize(
    ("low", "high", "numbers"),
    [
        (0.06, 0.6, ["0.06", "0.1", "0.2", "0.4", "0.6"]),
        (0.02, 1.5, ["0.02", "0.05", "0.1", "0.2", "0.5", "1"]),
        (0.21, 0.29, ["0.22", "0.24", "0.26", "0.28"]),
        (0.005, 50, ["0.01", "0.1", "1", "10"]),
    ],
)
def test_a_logarithmic_axis_has_plain_numbers(low, high, numbers):
    ax = plot.curves(losses(high, low), log_loss=True).axes[0]
    ax.set_ylim(low, high)
    drawn(ax.figure)
    ticks = zip(ax.get_yticks(), ax.yaxis.get_ticklabels(), strict=True)
    assert [text.get_text() for place, text in ticks if low <= place <= high * 1.0001] == numbers
    assert not any(tick.get_text() for tick in ax.yaxis.get_ticklabels(minor=True))


def test_a_logarithmic_axis_that_goes_far_from_1_has_powers_of_ten():
    ax = drawn(plot.gradient_norms([1e-5, 1e5])).axes[0]
    assert all("10^{" in tick.get_text() for tick in ax.get_yticklabels())


def test_curves_over_steps_on_a_log_scale_in_one_column():
    fig = drawn(plot.curves(history(), x="step", log_loss=True, test="dev", width=plot.COLUMN))
    loss, accuracy = fig.axes
    assert fig.get_figwidth() == plot.COLUMN
    assert loss.get_position().y0 > accuracy.get_position().y1  # one above the other
    assert loss.get_yscale() == "log"
    ticks = [tick for minor in (False, True) for tick in loss.yaxis.get_ticklabels(minor=minor)]
    assert {tick.get_fontsize() for tick in ticks} == {8}
    assert accuracy.get_xlabel() == "step"
    assert loss.lines[0].get_xdata()[-1] == 200
    assert legend_texts(fig) == ["train", "dev"]


def test_curves_of_a_regression_without_validation():
    fig = drawn(plot.curves(history(validation=False, accuracy=False)))
    assert [len(ax.lines) for ax in fig.axes] == [1, 0]


def test_a_gap_in_the_history_is_a_gap_in_the_curve():
    records = history(3)
    records.append({"epoch": 4, "train_loss": None})
    assert np.isnan(plot.curves(records).axes[0].lines[0].get_ydata()[3])


def test_accuracy_against_shows_the_spread_of_seeds():
    T = np.arange(5, 9)
    seeds = np.array([[1.0, 0.9, 0.8, 0.7], [0.8, 0.7, 0.6, 0.5]])
    fig = drawn(plot.accuracy_against(T, {"npnn": seeds, "torch": seeds[0]}, "length T", chance=0.1))
    (ax,) = fig.axes
    mean, single, chance = ax.lines
    np.testing.assert_allclose(mean.get_ydata(), [90, 80, 70, 60])
    np.testing.assert_allclose(single.get_ydata(), 100 * seeds[0])
    assert list(chance.get_ydata()) == [10.0, 10.0]
    (band,) = ax.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (50.0, 100.0)
    assert ax.get_xlabel() == "length T"
    assert ax.get_ylim() == (0, 102)
    assert all(float(tick) == int(tick) for tick in ax.get_xticks())
    assert legend_texts(fig) == ["npnn", "torch", "chance"]


def test_gradient_norms_with_the_clip():
    fig = drawn(plot.gradient_norms([0.1, 100.0, 1.0], clip=10))
    (ax,) = fig.axes
    assert ax.get_yscale() == "log"
    assert list(ax.lines[0].get_xdata()) == [1, 2, 3]
    assert list(ax.lines[1].get_ydata()) == [10, 10]
    assert legend_texts(fig) == ["clipped above 10"]


def test_gradient_norms_of_histories_lie_where_they_were_recorded():
    recorded = history(4)
    for k, record in enumerate(recorded.records):
        record["grad_norm"] = 10.0**k
    fig = drawn(plot.gradient_norms({"npnn": recorded, "torch": recorded}, clip=float("inf")))
    ours, theirs = fig.axes[0].lines  # and no line for a limit that there is not
    assert list(ours.get_xdata()) == [10, 20, 30, 40]
    assert list(theirs.get_ydata()) == [1.0, 10.0, 100.0, 1000.0]
    assert legend_texts(fig) == ["npnn", "torch"]


# ---- classes


def test_confusion_matrix_shows_the_share_of_the_true_class():
    fig = drawn(plot.confusion_matrix([[800, 200, 0], [0, 2000, 0], [1, 11, 988]], ["cat", "dog", "owl"]))
    (ax,) = fig.axes
    np.testing.assert_allclose(ax.images[0].get_array(), [[80, 20, 0], [0, 100, 0], [0.1, 1.1, 98.8]])
    assert ax.images[0].get_clim() == (0, 100)
    assert {(t.get_position(), t.get_text(), t.get_color()) for t in ax.texts} == {
        ((0, 0), "80", "white"),
        ((1, 0), "20", "black"),
        ((1, 1), "100", "white"),
        ((0, 2), "0.1", "black"),
        ((1, 2), "1", "black"),
        ((2, 2), "99", "white"),
    }
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")
    assert ax.get_title() == "share of the true class (%)"
    assert [t.get_text() for t in ax.get_yticklabels()] == ["cat", "dog", "owl"]


def test_the_numbers_of_a_confusion_matrix_stay_in_their_cells():
    matrix = np.full((10, 10), 4)
    np.fill_diagonal(matrix, 9964)  # "99.6", the widest there is
    ax = drawn(plot.confusion_matrix(matrix, ["automobile"] * 10)).axes[0]
    cell = ax.get_window_extent().width / 10
    assert max(text.get_window_extent().width for text in ax.texts) < cell


@pytest.mark.parametrize(
    ("matrix", "names", "says"), [([[1, 2]], None, "square"), ([[1]], ["a", "b"], "1 class names")]
)
def test_confusion_matrix_refuses(matrix, names, says):
    with pytest.raises(ValueError, match=says):
        plot.confusion_matrix(matrix, names)


def test_per_class_has_a_row_for_each_class_the_first_on_top():
    fig = drawn(plot.per_class({"npnn": [0.98, 1.0], "torch": [0.97, np.nan]}, ["cat", "dog"]))
    (ax,) = fig.axes
    ours, theirs = ax.lines
    np.testing.assert_allclose(ours.get_xdata(), [98, 100])
    np.testing.assert_allclose(theirs.get_xdata(), [97, np.nan])
    assert list(ours.get_ydata()) == [0, 1]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["cat", "dog"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    assert 90 < ax.get_xlim()[0] < 97  # near enough to tell 98 from 100
    assert ax.get_xlim()[1] == 100
    assert theirs.get_markerfacecolor() == "none"  # ours is seen where both are the same
    assert legend_texts(fig) == ["npnn", "torch"]


def test_per_class_of_a_single_run_has_no_legend():
    assert not drawn(plot.per_class({"npnn": [0.5, 1.0]})).legends


def test_decision_boundary_runs_where_the_scores_are_equal():
    X = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0]], np.float32)
    asked = []

    def predict(points):
        asked.append((points.dtype, points.shape))
        return np.stack([points[:, 0], np.full(len(points), 0.5)], axis=1)

    fig = drawn(plot.decision_boundary(predict, X, [1, 0, 1], "halves", resolution=50))
    (ax,) = fig.axes
    assert asked == [(np.float32, (2500, 2))]
    mesh, border, *classes = ax.collections
    np.testing.assert_allclose(border.get_paths()[0].vertices[:, 0], 0.5, atol=1e-6)
    regions = mesh.get_array().reshape(50, 50)
    assert regions[0, 0] == 1
    assert regions[0, -1] == 0
    np.testing.assert_array_equal(classes[1].get_offsets(), X[[0, 2]])
    assert ax.get_title() == "halves"
    assert ax.get_xlim() == pytest.approx((-0.08, 1.08))
    assert legend_texts(fig) == ["class 0", "class 1"]


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_decision_boundary_of_a_single_logit(shape):
    X = np.array([[-1.0, -1.0], [1.0, 1.0]])
    fig = plot.decision_boundary(lambda p: p[:, 0].reshape(shape), X, [0, 1], resolution=30)
    regions = fig.axes[0].collections[0].get_array().reshape(30, 30)
    assert (regions[0, 0], regions[0, -1]) == (0, 1)


def test_decision_boundary_of_many_classes_and_of_one_that_wins_everywhere():
    X = np.eye(3)[:, :2]
    borders = plot.decision_boundary(lambda p: np.stack([p[:, 0], p[:, 1], 0 * p[:, 0]], 1), X, [0, 1, 2])
    assert len(drawn(borders).axes[0].collections) == 1 + 3 + 3
    nothing = plot.decision_boundary(lambda p: np.ones((len(p), 2)) * [1, 0], X, [0, 1, 1])
    assert len(drawn(nothing).axes[0].collections) == 1 + 2


def test_decision_boundary_refuses_points_that_lie_in_no_plane():
    with pytest.raises(ValueError, match=r"expected points \(N, 2\)"):
        plot.decision_boundary(lambda p: p, np.zeros((4, 3)), np.zeros(4))


# ---- images


def test_grey_kernels_share_one_scale():
    weights = np.zeros((5, 1, 3, 3))
    weights[0, 0, 0, 0], weights[4, 0, 2, 2] = -2.0, 1.0
    fig = drawn(plot.kernels(weights, columns=4))
    ax = fig.axes[0]
    picture = np.asarray(ax.images[0].get_array())
    assert picture.shape == (7, 15)
    assert picture[0, 0] == 0.0  # the most negative weight is black
    assert picture[1, 1] == 0.5  # zero is the middle
    assert picture[6, 2] == 0.75
    assert picture[3, 0] == 1.0  # the line between two kernels
    assert ax.get_title() == "5 kernels of 3×3, 1 channel"
    bar = ax.child_axes[0]
    assert [t.get_text() for t in bar.get_yticklabels()] == ["\N{MINUS SIGN}2", "0", "2"]
    assert len(ax.patches) == 5


def test_kernels_of_three_channels_are_in_colour():
    weights = np.zeros((2, 3, 3, 3), np.float32)
    weights[0, 0] = 1.0
    ax = drawn(plot.kernels(weights)).axes[0]
    picture = np.asarray(ax.images[0].get_array())
    assert picture.shape == (3, 7, 3)
    np.testing.assert_array_equal(picture[0, 0], [1.0, 0.5, 0.5])
    assert not ax.child_axes


def test_kernels_of_many_channels_have_a_row_each():
    ax = plot.kernels(np.ones((2, 4, 3, 3))).axes[0]
    assert ax.images[0].get_array().shape == (7, 15)
    assert ax.get_title() == "2 kernels of 3×3, 4 channels"


def test_kernels_can_be_called_something_else():
    ax = plot.kernels(np.ones((2, 1, 3, 3)), title="weights of 2 units").axes[0]
    assert ax.get_title() == "weights of 2 units"


def test_kernels_takes_the_parameter_itself_and_survives_zeros():
    from npnn.nn.module import Parameter

    ax = plot.kernels(Parameter(np.zeros((2, 1, 3, 3), np.float32))).axes[0]
    assert np.asarray(ax.images[0].get_array())[0, 0] == 0.5


def test_kernels_refuses_a_matrix():
    with pytest.raises(ValueError, match=r"\(O, C, KH, KW\), got shape \(2, 3\)"):
        plot.kernels(np.zeros((2, 3)))


@pytest.mark.parametrize("channels", [1, 3])
def test_feature_maps_share_one_scale(channels):
    images = np.linspace(0, 1, 2 * channels * 64).reshape(2, channels, 8, 8)
    maps = np.arange(2 * 5 * 16.0).reshape(2, 5, 4, 4)
    fig = drawn(plot.feature_maps(images, maps, count=3))
    panels = [ax for ax in fig.axes if ax.images and ax.get_label() != "<colorbar>"]
    assert len(panels) == 2 * 4
    assert [ax.get_title() for ax in panels[:4]] == ["input", "map 0", "map 1", "map 2"]
    np.testing.assert_array_equal(panels[6].images[0].get_array(), maps[1, 1])
    clims = {ax.images[0].get_clim() for i, ax in enumerate(panels) if i % 4}
    assert clims == {(0.0, maps[1, 2].max())}


def test_feature_maps_refuses_what_does_not_belong_together():
    with pytest.raises(ValueError, match="of 2 images"):
        plot.feature_maps(np.zeros((2, 1, 8, 8)), np.zeros((3, 4, 8, 8)))
    with pytest.raises(ValueError, match="expected images"):
        plot.feature_maps(np.zeros((2, 2, 8, 8)), np.zeros((2, 4, 8, 8)))


def test_mistakes_are_shown_with_the_surest_first():
    logits = np.log([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.99, 0.01]])
    fig = drawn(plot.mistakes(np.zeros((4, 1, 5, 5)), logits, [1, 1, 0, 0], ["cat", "dog"]))
    shown = [ax for ax in fig.axes if ax.images]
    assert [ax.get_title() for ax in shown] == ["says cat\n90.0 %", "says dog\n80.0 %", "says cat\n60.0 %"]
    assert [ax.get_xlabel() for ax in shown] == ["is dog", "is cat", "is dog"]
    two = drawn(plot.mistakes(np.zeros((4, 1, 5, 5)), logits, [1, 1, 0, 0], count=2, columns=2))
    assert [ax.get_xlabel() for ax in two.axes] == ["is 1", "is 0"]


def test_mistakes_of_normalised_colours_get_their_range_back():
    images = np.random.default_rng(0).random((2, 3, 4, 4))
    images[0, :, 0, 0], images[1, :, 0, 0] = 0, 1
    normal = (images - 0.5) / 0.25
    fig = drawn(plot.mistakes(normal, [[0, 1], [0, 1]], [0, 0]))
    np.testing.assert_allclose(fig.axes[0].images[0].get_array(), images[0].transpose(1, 2, 0), atol=1e-6)


def test_no_mistakes_are_an_empty_figure():
    assert not any(ax.images for ax in drawn(plot.mistakes(np.zeros((1, 1, 2, 2)), [[0, 1]], [1])).axes)


# ---- speed


def test_roofline_bends_where_memory_and_arithmetic_are_equally_slow():
    points = {
        "conv": {"npnn": [(1.0, 10.0), (40.0, 300.0)], "torch": [(1.0, 8.0)]},
        "linear": {"npnn": [(10.0, 100.0)]},
    }
    fig = drawn(plot.roofline(points, peak_gflops=400, bandwidth_gb=20))
    (ax,) = fig.axes
    intensity, roof = ax.lines[0].get_data()
    np.testing.assert_allclose(roof, np.minimum(400, 20 * intensity))
    assert intensity[0] < 1
    assert intensity[-1] > 40
    ours, theirs, linear, *legend = ax.collections
    assert all(len(sample.get_offsets()) == 0 for sample in legend)
    np.testing.assert_array_equal(ours.get_offsets(), points["conv"]["npnn"])
    assert len(ours.get_facecolors()) == 1
    assert len(theirs.get_facecolors()) == 0  # hollow
    assert to_hex(ours.get_edgecolors()[0]) == to_hex(theirs.get_edgecolors()[0]) != to_hex(linear.get_edgecolors()[0])
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert legend_texts(fig) == ["conv", "linear", "npnn", "torch", "400 GFLOP/s, 20 GB/s"]


def test_growth_has_a_panel_for_each_kind_of_size():
    runs = {"npnn": [(4.0, 2.0), (1.0, 1.0)], "torch": [(1.0, 1.5), (4.0, 3.0)]}
    fig = drawn(
        plot.growth({"batch": {"MLP": runs}, "width": {"MLP": runs, "CNN": {"npnn": [(8.0, 1.0), (16.0, 5.0)]}}})
    )
    batch, width = fig.axes
    ours, theirs, *_ = batch.lines
    np.testing.assert_array_equal(ours.get_data(), [[1, 4], [1, 2]])  # in the order of sizes
    np.testing.assert_array_equal(theirs.get_data(), [[1, 4], [1.5, 3]])
    assert ours.get_linestyle() == "-"
    assert theirs.get_linestyle() == "--"
    assert ours.get_color() == theirs.get_color() == width.lines[0].get_color() != width.lines[2].get_color()
    assert [ax.get_xlabel() for ax in fig.axes] == ["batch", "width"]
    assert legend_texts(fig) == ["MLP", "npnn", "torch", "CNN"]


# ---- sheets, files, a missing library


def test_several_drawings_share_a_sheet():
    sheet = plot.figure(7, 5)
    top, bottom = sheet.subfigures(2, 1)
    assert plot.curves(history(), figure=top) is top
    left, right = bottom.subfigures(1, 2)
    plot.confusion_matrix(np.eye(3), figure=left)
    plot.per_class([1.0, 0.5], figure=right)
    drawn(sheet)
    assert (len(top.axes), len(left.axes), len(right.axes)) == (2, 1, 1)
    assert len(top.legends) == 1


def test_saved_figures_are_equal_byte_for_byte_and_replace_the_old_file(tmp_path):
    path = tmp_path / "a.png"
    plot.save(plot.curves(history()), path)
    first = path.read_bytes()
    plot.save(plot.curves(history()), str(path))
    assert path.read_bytes() == first
    assert b"Software" not in first
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    from matplotlib.image import imread

    assert imread(path).shape[:2] == (520, 1400)  # 2.6 by 7 inches at 200 dpi


def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    plot.save(plot.figure(1, 1), path)
    before = path.read_bytes()

    def broken(*args):
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", broken)
    with pytest.raises(OSError, match="no space left"):
        plot.save(plot.curves(history()), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_no_global_figure_list_and_no_display():
    code = "import sys, npnn.plot; assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_matplotlib_one_line_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def no_matplotlib(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(f"No module named {name!r}")
        return real(name, *args, **kwargs)

    for name in [m for m in sys.modules if m.startswith(("npnn.plot", "matplotlib"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", no_matplotlib)
    with pytest.raises(ImportError, match=r"pip install npnn\[plot\]"):
        import npnn.plot  # noqa: F401


def test_a_figure_is_a_figure():
    assert isinstance(plot.figure(), Figure)


def test_a_notebook_shows_a_figure_by_itself():
    figure = plot.figure(2, 1)
    figure.subplots().plot([1, 2])
    assert figure._repr_png_().startswith(b"\x89PNG")
