"""The fast forms of im2col and channelwise against the NumPy ones, in every geometry."""

from __future__ import annotations

import numpy as np
import pytest

from npnn.kernels import _jit, channelwise, conv, im2col, pointwise, threads
from npnn.kernels.im2col import Geometry

needs_jit = pytest.mark.skipif(not _jit.enabled(), reason="numba is switched off: there is only the NumPy form")

CASES = [  # image (H, W), kernel, stride, before, after, dilation, groups, C, O
    ((1, 1), (1, 1), (1, 1), (0, 0), (0, 0), (1, 1), 1, 1, 1),
    ((3, 5), (3, 3), (1, 1), (1, 1), (1, 1), (1, 1), 1, 3, 17),
    ((2, 2), (3, 3), (1, 1), (1, 1), (1, 1), (1, 1), 1, 17, 3),
    ((2, 2), (3, 3), (1, 1), (3, 3), (3, 3), (1, 1), 1, 2, 3),
    ((9, 8), (3, 3), (2, 2), (1, 1), (1, 1), (1, 1), 1, 64, 64),
    ((9, 8), (2, 4), (1, 2), (0, 1), (1, 2), (1, 1), 1, 3, 64),
    ((9, 8), (3, 2), (2, 1), (2, 0), (1, 3), (2, 3), 1, 5, 4),
    ((5, 6), (3, 3), (1, 1), (1, 1), (1, 1), (1, 1), 2, 6, 34),
    ((5, 6), (3, 3), (1, 2), (2, 2), (2, 2), (2, 2), 3, 3, 3),
    ((5, 6), (1, 1), (2, 2), (0, 0), (0, 0), (1, 1), 1, 64, 33),
    ((4, 4), (5, 5), (1, 1), (2, 2), (2, 2), (1, 1), 1, 32, 32),
]


def make(case, n, dtype):
    size, kernel_size, stride, before, after, dilation, groups, c, o = case
    rng = np.random.default_rng(0)
    geometry = Geometry(stride, before, after, dilation, groups)
    x = rng.standard_normal((n, *size, c)).astype(dtype)
    w = rng.standard_normal((o, *kernel_size, c // groups)).astype(dtype)
    b = rng.standard_normal(o).astype(dtype)
    dy = rng.standard_normal((n, *geometry.output_size(size, kernel_size), o)).astype(dtype)
    return x, w, b, dy, geometry


def passes(module, form, x, w, b, dy, geometry):
    """The results of all three passes, in the NumPy form ("reference") or the fast one ("twin")."""
    y = getattr(module.forward, form)(x, w, b, geometry)
    dx = getattr(module.backward_input, form)(dy, w, x.shape[1:3], geometry)
    dw, db = getattr(module.backward_weight, form)(x, dy, w.shape[1:3], geometry)
    return {"y": y, "dx": dx, "dw": dw, "db": db}


@pytest.fixture(autouse=True)
def _thread_count():
    before = threads.get_num_threads()
    yield
    threads.set_num_threads(before)


@needs_jit
@pytest.mark.parametrize("number_of_threads", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [0, 1, 5])
@pytest.mark.parametrize("case", CASES)
def test_fast_passes_equal_the_numpy_ones(case, n, dtype, number_of_threads, monkeypatch):
    monkeypatch.setattr(threads, "PARALLEL_THRESHOLD", 1)
    threads.set_num_threads(number_of_threads)
    arrays = make(case, n, dtype)
    expected = passes(im2col, "reference", *arrays)
    found = passes(im2col, "twin", *arrays)
    again = passes(im2col, "twin", *arrays)
    for name, value in expected.items():
        assert found[name].dtype == dtype
        tolerance = 1e-12 if dtype == "float64" else 1e-4
        np.testing.assert_allclose(found[name], value, rtol=tolerance, atol=tolerance, err_msg=name)
        np.testing.assert_array_equal(found[name], again[name], err_msg=name)


def at_random(rng):
    """A case with few or many channels, any geometry, and groups of one channel each now and then."""
    while True:
        groups = int(rng.choice([1, 1, 2, 3]))
        c, o = groups * int(rng.integers(1, 20)), groups * int(rng.integers(1, 40))
        if rng.random() < 0.3:
            groups = c = o = int(rng.choice([3, 16, 25, 32, 48]))
        kernel, stride, dilation = (tuple(map(int, rng.integers(1, n, 2))) for n in (6, 4, 3))
        before, after, size = (tuple(map(int, rng.integers(low, n, 2))) for low, n in ((0, 5), (0, 3), (1, 12)))
        if min(Geometry(stride, before, after, dilation, groups).output_size(size, kernel)) > 0:
            return size, kernel, stride, before, after, dilation, groups, c, o


@needs_jit
@pytest.mark.parametrize("module", [im2col, channelwise], ids=["im2col", "channelwise"])
@pytest.mark.parametrize("seed", range(30))
def test_what_is_not_finite_stays_where_it_belongs(module, seed):
    """One number of x and one of dy is infinite: what is finite in the NumPy form, is so in the fast one, and the same.

    (Not the other way round: NumPy's multiplies by the zeros beside the image, too, and makes a nan of them.)
    """
    rng = np.random.default_rng(seed)
    case = at_random(rng)
    while module is channelwise and case[6] != case[7]:
        case = at_random(rng)
    x, w, b, dy, geometry = make(case, 2, "float64")
    for array in (x, dy):
        array[tuple(int(rng.integers(n)) for n in array.shape)] = np.inf
    with np.errstate(invalid="ignore"):
        expected, found = (passes(module, form, x, w, b, dy, geometry) for form in ("reference", "twin"))
    for name, value in expected.items():
        finite = np.isfinite(value)
        np.testing.assert_allclose(
            found[name][finite], value[finite], rtol=1e-10, atol=1e-10, err_msg=f"{name}, {case}"
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "shape",
    [(1, 1, 1, 1, 1), (0, 3, 4, 2, 5), (2, 3, 3, 0, 4), (3, 7, 5, 3, 22), (8, 16, 16, 40, 33), (2, 9, 1, 100, 1)],
)
def test_a_kernel_of_one_pixel_is_a_matrix_product(shape, dtype):
    n, *size, c, o = shape
    x, w, b, dy, geometry = make((tuple(size), (1, 1), (1, 1), (0, 0), (0, 0), (1, 1), 1, c, o), n, dtype)
    assert pointwise.fits((1, 1), geometry)
    expected = passes(im2col, "reference", x, w, b, dy, geometry)
    tolerance = 1e-12 if dtype == "float64" else 1e-4
    for order in (np.ascontiguousarray, np.asfortranarray, parted):
        b = order(b)
        y, dx = (
            pointwise.forward(order(x), w, b, geometry),
            pointwise.backward_input(order(dy), w, tuple(size), geometry),
        )
        dw, db = pointwise.backward_weight(order(x), order(dy), (1, 1), geometry)
        for name, value in {"y": y, "dx": dx, "dw": dw, "db": db}.items():
            assert value.dtype == dtype
            np.testing.assert_allclose(value, expected[name], rtol=tolerance, atol=tolerance, err_msg=name)
        np.testing.assert_allclose(
            pointwise.forward(order(x), w, None, geometry), expected["y"] - b, rtol=tolerance, atol=1e-4
        )


def parted(array):
    """The same numbers with gaps between them, in the order of no index."""
    wide = np.zeros([2 * n for n in array.shape[::-1]], array.dtype).T
    view = wide[tuple(slice(None, None, 2) for _ in array.shape)]
    view[...] = array
    return view


@pytest.mark.parametrize("seed", range(40))
def test_arrays_in_any_order_of_memory(seed):
    """Each of the arrays with gaps, one after the other: slices of larger arrays, transposed weights."""
    rng = np.random.default_rng(seed)
    case = at_random(rng)
    if seed % 4 == 0:  # a kernel of one pixel; and what Winograd's algorithm is for
        case = (case[0], (1, 1), (1, 1), (0, 0), (0, 0), (1, 1), 1, *case[7:])
    elif seed % 4 == 1:
        case = ((12, 12), (3, 3), (1, 1), (1, 1), (1, 1), (1, 1), 1, 64, 64)
    *arrays, geometry = make(case, 2, "float64")
    x, w, b, dy = arrays
    expected = passes(im2col, "reference", x, w, b, dy, geometry)
    for which in range(4):
        x, w, b, dy = (parted(a) if i == which else a for i, a in enumerate(arrays))
        y, dx = conv.forward(x, w, b, geometry), conv.backward_input(dy, w, x.shape[1:3], geometry)
        dw, db = conv.backward_weight(x, dy, w.shape[1:3], geometry)
        for name, value in {"y": y, "dx": dx, "dw": dw, "db": db}.items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-9, atol=1e-9, err_msg=f"{name}, {which}, {case}")
