"""The loops behind im2col's fast twins, which multiply windows where they lie instead of copying them out.

Under one tap of the kernel, a row of output pixels sees a row of input pixels: in memory a matrix,
with the stride of the convolution between its rows.  So every tap is a product of such views, and
``product`` sums over the taps above one another.  Where images are small, the pixels at one place in
all images make the rows instead: the same loops, over transposed arrays.  For that the axes have
neutral names: (P, H, R, C) is (N, H, W, C) or (W, H, N, C); the loops run over P and H, the products'
rows along R.  An array comes as its flat memory and a ``form``, its shape and strides.
"""

from __future__ import annotations

import numpy as np

from npnn.kernels._jit import jit
from npnn.kernels.tiles import PANEL, product, transpose, turned

__all__ = ["backward_input_chunks", "backward_weight_chunks", "forward_chunks", "spread_chunks"]

prange = range  # numba reads this name as its parallel range

BLOCK = 512  # pixels in a block of lines


@jit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _view4(memory, form):  # type: ignore[no-untyped-def]
    return np.lib.stride_tricks.as_strided(memory, form[:4], form[4:])


@jit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _view5(memory, form):  # type: ignore[no-untyped-def]
    return np.lib.stride_tricks.as_strided(memory, form[:5], form[5:])


@jit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _seen(size, count, step, offset):  # type: ignore[no-untyped-def]
    """The range of 0 <= i < count for which there is an element i * step + offset, 0 <= it < size."""
    return max(0, -(offset // step)), min(count, (size - 1 - offset) // step + 1)


@jit(parallel=True, error_model="numpy")
def forward_chunks(chunks, x, x_form, w, w_form, y, y_form, b, ones, moves, groups, panels):  # type: ignore[no-untyped-def]
    for chunk in prange(chunks):
        _forward_part(np.int64(chunk), chunks, x, x_form, w, w_form, y, y_form, b, ones, moves, groups, panels[chunk])


@jit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _forward_part(chunk, chunks, x, x_form, w, w_form, y, y_form, b, ones, moves, groups, panel):  # type: ignore[no-untyped-def]
    """Each item of work: some lines of the output, PANEL of its channels."""
    x, w, y = _view4(x, x_form), _view5(w, w_form), _view4(y, y_form)
    sp, bp, dp, sh, bh, dh, sr, br, dr = moves
    o, kp, kh, kr, c = w.shape
    height, length, width = y.shape[1], y.shape[2], o // groups
    lines, panels = max(1, BLOCK // max(1, length)), (width + PANEL - 1) // PANEL
    blocks = (y.shape[0] * height + lines - 1) // lines
    items = blocks * groups * panels
    for item in range(items * chunk // chunks, items * (chunk + 1) // chunks):
        g, start = item // blocks // panels, item // blocks % panels * PANEL
        os, cs = slice(g * width + start, g * width + min(start + PANEL, width)), slice(g * c, (g + 1) * c)
        lo, hi = item % blocks * lines, min(item % blocks * lines + lines, y.shape[0] * height)
        for line in range(lo, hi):
            product(ones, b[:, os], y[line // height, line % height, :, os], False)
        for i in range(kp):
            for k in range(kr):
                weights = panel[:, :, : os.stop - os.start]  # (KH, C/G, channels)
                for j in range(kh):
                    transpose(w[os, i, j, k], weights[j])
                first = k * dr - br
                begin, end = _seen(x.shape[2], length, sr, first)
                for line in range(lo, hi):
                    p, h = line // height * sp + i * dp - bp, line % height * sh - bh
                    above, below = _seen(x.shape[1], kh, dh, h)
                    if 0 <= p < x.shape[0] and begin < end and above < below:
                        rows = slice(h + above * dh, h + (below - 1) * dh + 1, dh)
                        columns = slice(begin * sr + first, (end - 1) * sr + first + 1, sr)
                        out = y[line // height, line % height, begin:end, os]
                        product(x[p, rows, columns, cs], weights[above:below], out, True)


@jit(parallel=True, error_model="numpy")
def backward_input_chunks(chunks, dx, dx_form, w, w_form, dy, dy_form, moves, groups):  # type: ignore[no-untyped-def]
    for chunk in prange(chunks):
        _backward_input_part(np.int64(chunk), chunks, dx, dx_form, w, w_form, dy, dy_form, moves, groups)


@jit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _backward_input_part(chunk, chunks, dx, dx_form, w, w_form, dy, dy_form, moves, groups):  # type: ignore[no-untyped-def]
    """Each item of work: some lines of the input, PANEL of its channels."""
    dx, w, dy = _view4(dx, dx_form), _view5(w, w_form), _view4(dy, dy_form)
    sp, bp, dp, sh, bh, dh, sr, br, dr = moves
    o, kp, kh, kr, c = w.shape
    height, length, width = dx.shape[1], dx.shape[2], o // groups
    lines, panels = max(1, BLOCK // max(1, length)), (c + PANEL - 1) // PANEL
    blocks = (dx.shape[0] * height + lines - 1) // lines
    items = blocks * groups * panels
    for item in range(items * chunk // chunks, items * (chunk + 1) // chunks):
        g, start = item // blocks // panels, item // blocks % panels * PANEL
        stop = min(start + PANEL, c)
        os, cs = slice(g * width, (g + 1) * width), slice(g * c + start, g * c + stop)
        lo, hi = item % blocks * lines, min(item % blocks * lines + lines, dx.shape[0] * height)
        for line in range(lo, hi):
            out = dx[line // height, line % height, :, cs]
            for i in range(out.shape[0]):
                for j in range(out.shape[1]):
                    out[i, j] = 0
        for i in range(kp):
            for j in range(kh):
                for k in range(kr):
                    first = k * dr - br
                    begin, end = _seen(length, dy.shape[2], sr, first)
                    columns = slice(begin * sr + first, (end - 1) * sr + first + 1, sr)
                    for line in range(lo, hi):
                        p, p_rest = divmod(line // height + bp - i * dp, sp)
                        h, h_rest = divmod(line % height + bh - j * dh, sh)
                        inside = 0 <= p < dy.shape[0] and 0 <= h < dy.shape[1] and begin < end
                        if inside and p_rest == 0 and h_rest == 0:
                            out = dx[line // height, line % height, columns, cs]
                            product(dy[p, h, begin:end, os], w[os, i, j, k, start:stop], out, True)


@jit(parallel=True, error_model="numpy")
def spread_chunks(chunks, dx, w, dy, moves, columns, images):  # type: ignore[no-untyped-def]
    """dx for few channels: (G, N, H, W, C/G), (G, O/G, KH spans), (G, N, OH, OW, O/G), the groups' views of the arrays.

    Each thread has an image of its own to add up in.
    """
    for chunk in prange(chunks):
        N = dx.shape[1]
        for n in range(N * chunk // chunks, N * (chunk + 1) // chunks):
            for g in range(len(dx)):
                _spread_image(dx[g, n], w[g], dy[g, n], moves, columns[chunk], images[chunk])


@jit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _spread_image(dx, w, dy, moves, columns, image):  # type: ignore[no-untyped-def]
    """One product makes the windows of a line of outputs; they are added to the image with its border, span by span:
    no two one after the other that overlap, as the second would wait until the first is written."""
    sh, top, dh, step, left, apart, kh, spans, span = moves
    reach = (span + step - 1) // step
    for line in image:
        for t in range(line.size):
            line[t] = 0
    for line in range(len(dy)):
        product(dy[line], w, columns, False)
        for k in range(kh):
            out = image[line * sh + k * dh]
            for m in range(spans):
                window = (k * spans + m) * span
                for begin in range(reach):
                    for pixel in range(begin, len(columns), reach):
                        first = pixel * step + m * apart
                        target, source = out[first : first + span], columns[pixel, window : window + span]
                        for t in range(span):
                            target[t] += source[t]
    height, width, c = dx.shape
    for i in range(height):
        for j in range(width):
            for t in range(c):
                dx[i, j, t] = image[top + i, left + j * c + t]


@jit(parallel=True, error_model="numpy")
def backward_weight_chunks(chunks, x, x_form, dy, dy_form, ones, moves, groups, dw, dw_form, shared, db):  # type: ignore[no-untyped-def]
    for chunk in prange(chunks):
        own = dw[chunk % len(dw)]  # or the only one there is
        _backward_weight_part(
            np.int64(chunk), chunks, x, x_form, dy, dy_form, ones, moves, groups, own, dw_form, shared, db[chunk]
        )


@jit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _backward_weight_part(chunk, chunks, x, x_form, dy, dy_form, ones, moves, groups, dw, dw_form, shared, db):  # type: ignore[no-untyped-def]
    """The sums for dw, and over one thread's share of the lines for db (1, O).

    Shared, dw is (KP, KH, KR, O, C/G) and each thread computes some of its taps and panels from all
    lines.  Otherwise it is (KP, KH, KR, C/G, O), each thread's own, and summed over its share of the lines.
    """
    x, dy, dw = _view4(x, x_form), _view4(dy, dy_form), _view5(dw, dw_form)
    sp, bp, dp, sh, bh, dh, sr, br, dr = moves
    kp, kh, kr = dw.shape[:3]
    c, o = (dw.shape[4], dw.shape[3]) if shared else (dw.shape[3], dw.shape[4])
    height, length, width = dy.shape[1], dy.shape[2], o // groups
    panels = (width + PANEL - 1) // PANEL
    lines, items = dy.shape[0] * height, groups * panels * kp * kh * kr
    lo, hi = lines * chunk // chunks, lines * (chunk + 1) // chunks
    for line in range(lo, hi):
        product(ones, dy[line // height, line % height], db, True)
    first_item, last_item = np.int64(0), items
    if shared:
        lo, hi = np.int64(0), lines
        first_item, last_item = items * chunk // chunks, items * (chunk + 1) // chunks
    for item in range(first_item, last_item):
        tap, start = item // (groups * panels), item % panels * PANEL
        g, i, j, k = item // panels % groups, tap // (kh * kr), tap // kr % kh, tap % kr
        os, cs = slice(g * width + start, g * width + min(start + PANEL, width)), slice(g * c, (g + 1) * c)
        out = dw[i, j, k, os, :] if shared else dw[i, j, k, :, os]
        for row in range(out.shape[0]):
            for column in range(out.shape[1]):
                out[row, column] = 0
        first, top = k * dr - br, j * dh - bh
        begin, end = _seen(x.shape[2], length, sr, first)
        above, below = _seen(x.shape[1], height, sh, top)
        columns = slice(begin * sr + first, (end - 1) * sr + first + 1, sr)
        for image in range(lo // height, (hi + height - 1) // height):
            a, z = max(above, lo - image * height), min(below, hi - image * height)
            p = image * sp + i * dp - bp
            if 0 <= p < x.shape[0] and a < z and begin < end:
                seen = x[p, a * sh + top : (z - 1) * sh + top + 1 : sh, columns, cs]
                if shared:
                    product(turned(dy[image, a:z, begin:end, os]), seen, out, True)
                else:
                    product(turned(seen), dy[image, a:z, begin:end, os], out, True)
