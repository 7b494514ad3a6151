"""The innermost loops of a matrix product: a tile of the result stays in registers from beginning to end.

A library call for each of the many small products of a convolution spends half its time copying
its operands and choosing what to do.  ``product`` does neither.  For a tile of 8 rows and 2 vectors
of columns it runs through the inner dimension once,

    for k in range(K):
        c[0:8, 0:32] += a[0:8, k] b[k, 0:32]        # 16 multiply-adds of 16 numbers, for 10 loads

and so keeps the multipliers busy with what the second-level cache can deliver.  Compilers do not
find this form by themselves; it is written here in LLVM's own language, through numba.

Source: Goto & van de Geijn, Anatomy of high-performance matrix multiplication, 2008, section 4.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from npnn.kernels._jit import compiled_on_demand, jit
from npnn.kernels.vectors import Vectors, is_wide

__all__ = ["PANEL", "product", "transpose", "turned"]

#: Products are quickest with a multiple of this number of columns.
PANEL = 32


@compiled_on_demand
def product() -> Any:
    """product(a, b, c, add): c <- a b, or c <- c + a b if ``add``, inside compiled kernels, on one thread.

    a (M, K) with any strides, b (K, N) and c (M, N) with contiguous rows, all of one dtype, float32
    or float64.  With a (T, M, K) and b (T, K, N) it is the sum of T products, c being written once.
    Quickest where N is a multiple of 32: the last columns take as long as a whole vector of them.
    """
    import numba
    from llvmlite import binding, ir
    from numba.core import cgutils, types
    from numba.extending import intrinsic

    arguments = [ir.IntType(8).as_pointer(), *[ir.IntType(64)] * 13]  # see _product_of_addresses
    function_type = ir.FunctionType(ir.VoidType(), arguments)

    # Compiled once for each dtype, under a name that all kernels find, rather than into each of them.
    globals()["_tile_loops"] = _make_tile_loops()
    for dtype in (types.float32, types.float64):
        signature = types.void(types.CPointer(dtype), *[types.intp] * 13)
        compiled = numba.cfunc(signature, cache=True)(_product_of_addresses)
        binding.add_symbol(f"npnn_product_{dtype}", compiled.address)

    @intrinsic
    def call(typing: Any, a: Any, b: Any, c: Any, add: Any) -> Any:
        def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            word = ir.IntType(64)
            arrays = [context.make_array(t)(context, builder, v) for t, v in zip((a, b, c), args[:3], strict=True)]
            address = [array.data for array in arrays]
            shapes = [cgutils.unpack_tuple(builder, array.shape) for array in arrays]
            strides = [cgutils.unpack_tuple(builder, array.strides) for array in arrays]
            if a.ndim == 2:
                shapes[0], strides[0], strides[1] = (
                    [word(1), *shapes[0]],
                    [word(0), *strides[0]],
                    [word(0), *strides[1]],
                )
            (terms, m, k), n = shapes[0], shapes[2][1]
            function = cgutils.get_or_insert_function(builder.module, function_type, f"npnn_product_{a.dtype}")
            values = [
                builder.bitcast(address[0], arguments[0]), *strides[0],
                builder.ptrtoint(address[1], word), *strides[1][:2],
                builder.ptrtoint(address[2], word), strides[2][0], terms, m, n, k, builder.zext(args[3], word),
            ]  # fmt: skip
            builder.call(function, values)
            return context.get_dummy_value()

        return types.void(a, b, c, add), lower

    return call


def _product_of_addresses(a, a_term, a_row, a_column, b, b_term, b_row, c, c_row, terms, m, n, k, add):  # type: ignore[no-untyped-def]
    """The product in terms of addresses and of strides in bytes."""
    _tile_loops(a, a_term, a_row, a_column, b, b_term, b_row, c, c_row, terms, m, n, k, add)  # type: ignore[name-defined]  # noqa: F821


def _make_tile_loops() -> Any:
    """The loops over columns, rows and the inner dimension, as LLVM code; the dtype is that of the pointer a."""
    from llvmlite import ir
    from numba.core import cgutils, types
    from numba.extending import intrinsic

    full = 8 if is_wide() else 4  # rows of a tile: what fills the registers but does not spill
    word = ir.IntType(64)

    @intrinsic
    def tile_loops(typing, a, a_term, a_row, a_column, b, b_term, b_row, c, c_row, terms, m, n, k, add):  # type: ignore[no-untyped-def]
        size = a.dtype.bitwidth // 8

        def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            a, a_term, a_row, a_column, b, b_term, b_row, c, c_row, terms, m, n, k, add = args
            v = Vectors(builder, size)
            at, loop, load, lanes, vector = v.at, v.loop, v.load, v.lanes, v.vector
            b, c = (builder.inttoptr(x, v.number.as_pointer()) for x in (b, c))
            adding = builder.icmp_signed("!=", add, word(0))

            def tile(i: Any, j: Any, rows: int, vectors: int, mask: Any) -> None:
                """Rows from i, columns from j: so many rows and so many vectors, of them what the mask leaves."""

                def neighbours(base: Any) -> list[Any]:
                    start = at(base, builder.mul(j, word(size)))
                    return [at(start, word(which * lanes * size), vector) for which in range(vectors)]

                def multiply_add(a_shift: Any, b_now: Any, inner: Any) -> None:
                    ys = [load(p, mask) for p in neighbours(at(b_now, builder.mul(inner, b_row)))]
                    a_shift = builder.add(a_shift, builder.mul(inner, a_column))
                    for row, totals in zip(a_rows, sums, strict=True):
                        x = v.spread(builder.load(at(row, a_shift)))
                        for y, total in zip(ys, totals, strict=True):
                            builder.store(v.multiply_add(x, y, builder.load(total)), total)

                index = [builder.add(i, word(r)) for r in range(rows)]
                a_rows = [at(a, builder.mul(r, a_row)) for r in index]
                sums = [[cgutils.alloca_once(builder, vector) for _ in range(vectors)] for _ in range(rows)]
                places = [place for r in index for place in neighbours(at(c, builder.mul(r, c_row)))]
                registers = [register for row in sums for register in row]
                for register in registers:
                    builder.store(v.zero, register)
                twice = builder.and_(k, word(-2)) if rows == full else word(0)  # two steps at a time where it pays
                with loop(word(0), terms, 1) as (term, _):
                    a_shift, b_now = builder.mul(term, a_term), at(b, builder.mul(term, b_term))
                    if rows == full:
                        with loop(word(0), twice, 2) as (inner, _):
                            multiply_add(a_shift, b_now, inner)
                            multiply_add(a_shift, b_now, builder.add(inner, word(1)))
                    with loop(twice, k, 1) as (inner, _):
                        multiply_add(a_shift, b_now, inner)
                with builder.if_then(adding):  # last, so that rounding does not grow with what c has in it
                    for place, register in zip(places, registers, strict=True):
                        builder.store(builder.fadd(load(place, mask), builder.load(register)), register)
                for place, register in zip(places, registers, strict=True):
                    v.store(builder.load(register), place, mask)

            whole, j0 = builder.and_(m, word(-full)), word(0)
            for vectors, mask in ((2, None), (1, None), (1, v.mask(n))):
                columns = vectors * lanes
                j1 = n if mask else builder.add(j0, builder.and_(builder.sub(n, j0), word(-columns)))
                with loop(j0, j1, columns) as (j, _):
                    with loop(word(0), whole, full) as (i, _):
                        tile(i, j, full, vectors, mask)
                    for rows in range(1, full):  # the rest in one tile of its height
                        with builder.if_then(builder.icmp_signed("==", builder.sub(m, whole), word(rows))):
                            tile(whole, j, rows, vectors, mask)
                j0 = j1
            return context.get_dummy_value()

        return types.void(a, a_term, a_row, a_column, b, b_term, b_row, c, c_row, terms, m, n, k, add), lower

    return tile_loops


@compiled_on_demand
def _transpose_block() -> Any:
    """_transpose_block(a, b): b[:8, :8] <- a[:8, :8]ᵀ, where the rows of both are contiguous."""
    from llvmlite import ir
    from numba.core import cgutils, types
    from numba.extending import intrinsic

    @intrinsic
    def call(typing: Any, a: Any, b: Any) -> Any:
        def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            size = a.dtype.bitwidth // 8
            vector = ir.VectorType(ir.FloatType() if size == 4 else ir.DoubleType(), 8)

            def rows(kind: Any, value: Any) -> list[Any]:
                array = context.make_array(kind)(context, builder, value)
                start = builder.bitcast(array.data, ir.IntType(8).as_pointer())
                stride = cgutils.unpack_tuple(builder, array.strides)[0]
                places = [builder.gep(start, [builder.mul(stride, stride.type(r))]) for r in range(8)]
                return [builder.bitcast(place, vector.as_pointer()) for place in places]

            def shuffle(x: Any, y: Any, mask: list[int]) -> Any:
                return builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(ir.IntType(32), 8), mask))

            x = [builder.load(place, align=size) for place in rows(a, args[0])]
            for half in (4, 2, 1):  # exchange the off-diagonal blocks of squares of 8, 4 and 2
                upper = [lane + (8 - half if lane & half else 0) for lane in range(8)]
                lower_mask = [lane + (8 if lane & half else half) for lane in range(8)]
                for r in range(8):
                    if not r & half:
                        above, below = x[r], x[r + half]
                        x[r], x[r + half] = shuffle(above, below, upper), shuffle(above, below, lower_mask)
            for value, place in zip(x, rows(b, args[1]), strict=True):
                builder.store(value, place, align=size)
            return context.get_dummy_value()

        return types.void(a, b), lower

    return call


@jit
def transpose(a, b):  # type: ignore[no-untyped-def]
    """b <- aᵀ, both with contiguous rows."""
    m, n = a.shape
    for i in range(0, m, 8):
        for j in range(0, n, 8):
            if i + 8 <= m and j + 8 <= n:
                _transpose_block(a[i:, j:], b[j:, i:])
            else:
                for row in range(i, min(i + 8, m)):
                    for column in range(j, min(j + 8, n)):
                        b[column, row] = a[row, column]


@jit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
def turned(x):  # type: ignore[no-untyped-def]
    """x.transpose(0, 2, 1), which takes numba three seconds to compile."""
    shape, strides = x.shape, x.strides
    return np.lib.stride_tricks.as_strided(x, (shape[0], shape[2], shape[1]), (strides[0], strides[2], strides[1]))
