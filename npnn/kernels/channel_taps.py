"""The innermost loops of convolutions channel by channel: the taps of a kernel, for some channels, in registers.

For one vector of channels the weights of up to TAPS taps are loaded once.  Then for each pixel of a row

    out[j] = start + x0[j] w0 + x1[j] w1 + ...        one load and one multiply-add a tap, one store a pixel

and backwards the gradients of the weights are the registers, w0 += x0[j] dy[j] and so on.  Compilers keep neither
in registers from one pixel to the next, as they cannot know that the arrays do not overlap.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from npnn.kernels._jit import compiled_on_demand
from npnn.kernels.vectors import Vectors

__all__ = ["TAPS", "add_taps", "sum_taps"]

TAPS = 9  # at once: a kernel of 3 x 3


def _variants(v: Vectors, places: Any, count: Any, channels: Any) -> Iterator[tuple[int, Any, Any, Any]]:
    """For each number of taps the code of that number: with the taps' addresses, the first channel and the mask, first
    for whole vectors of channels, then for what is left."""
    builder, word = v.builder, v.word
    for taps in range(1, TAPS + 1):
        with builder.if_then(builder.icmp_signed("==", count, word(taps))):
            addresses = [builder.load(builder.gep(places, [word(i)])) for i in range(2 * taps)]
            whole = builder.and_(channels, word(-v.lanes))
            for first, last, mask in ((word(0), whole, None), (whole, channels, v.mask(channels))):
                with v.loop(first, last, v.lanes) as (c, _):
                    yield taps, addresses, builder.mul(c, word(v.size)), mask


def _step(v: Vectors, address: Any, channel: Any, j: Any, step: Any) -> Any:
    """The place of a vector: so many bytes for the channel, and for j pixels."""
    shift = v.builder.add(channel, v.builder.mul(j, step))
    return v.builder.inttoptr(v.builder.add(address, shift), v.vector.as_pointer())


@compiled_on_demand
def add_taps() -> Any:
    """add_taps(like, out, out_step, places, taps, x_step, n, channels, start), inside compiled kernels.

    out[j] <- start + Σ x[j] w over the taps, for j < n and all channels; from out itself where ``start`` is 0.
    ``places`` (int64) has the addresses of x and w for each tap, at most TAPS; ``out`` and ``start`` are addresses, too,
    steps are bytes from one pixel to the next, and ``like`` is an array of the numbers' kind.
    """
    from numba.core import cgutils, types
    from numba.extending import intrinsic

    @intrinsic
    def call(typing, like, out, out_step, places, taps, x_step, n, channels, start):  # type: ignore[no-untyped-def]
        def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            v = Vectors(builder, like.dtype.bitwidth // 8)
            _, out, out_step, where, taps, x_step, n, channels, start = args
            table = context.make_array(places)(context, builder, where).data
            given = builder.icmp_signed("!=", start, v.word(0))
            for count, addresses, channel, mask in _variants(v, table, taps, channels):
                weights = [v.load(_step(v, w, channel, v.word(0), v.word(0)), mask) for w in addresses[1::2]]
                constant = cgutils.alloca_once(builder, v.vector)
                with builder.if_then(given):
                    builder.store(v.load(_step(v, start, channel, v.word(0), v.word(0)), mask), constant)
                with v.loop(v.word(0), n, 1) as (j, _):
                    place = _step(v, out, channel, j, out_step)
                    total = cgutils.alloca_once(builder, v.vector)
                    with builder.if_else(given) as (then, otherwise):
                        with then:
                            builder.store(builder.load(constant), total)
                        with otherwise:
                            builder.store(v.load(place, mask), total)
                    value = builder.load(total)
                    for i in range(count):
                        value = v.multiply_add(
                            v.load(_step(v, addresses[2 * i], channel, j, x_step), mask), weights[i], value
                        )
                    v.store(value, place, mask)
            return context.get_dummy_value()

        words = [types.intp] * 3
        return types.void(like, types.intp, types.intp, places, *words, types.intp, types.intp), lower

    return call


@compiled_on_demand
def sum_taps() -> Any:
    """sum_taps(like, dy, dy_step, places, taps, x_step, n, channels), inside compiled kernels.

    w <- w + Σ x[j] dy[j] over the pixels j < n, for each tap and all channels; see add_taps.
    """
    from numba.core import cgutils, types
    from numba.extending import intrinsic

    @intrinsic
    def call(typing, like, dy, dy_step, places, taps, x_step, n, channels):  # type: ignore[no-untyped-def]
        def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            v = Vectors(builder, like.dtype.bitwidth // 8)
            _, dy, dy_step, where, taps, x_step, n, channels = args
            table = context.make_array(places)(context, builder, where).data
            for count, addresses, channel, mask in _variants(v, table, taps, channels):
                found = [_step(v, w, channel, v.word(0), v.word(0)) for w in addresses[1::2]]
                totals = [cgutils.alloca_once(builder, v.vector) for _ in range(count)]
                for total in totals:
                    builder.store(v.zero, total)
                with v.loop(v.word(0), n, 1) as (j, _):
                    gradient = v.load(_step(v, dy, channel, j, dy_step), mask)
                    for i, total in enumerate(totals):
                        x = v.load(_step(v, addresses[2 * i], channel, j, x_step), mask)
                        builder.store(v.multiply_add(x, gradient, builder.load(total)), total)
                for place, total in zip(found, totals, strict=True):
                    v.store(builder.fadd(v.load(place, mask), builder.load(total)), place, mask)
            return context.get_dummy_value()

        return types.void(like, types.intp, types.intp, places, *[types.intp] * 4), lower

    return call
