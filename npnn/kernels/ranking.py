"""The order of rows of numbers, or the first few of it: equal numbers as they come, nan as the largest.

A number is read as a whole number of the same order (the bits of a float).  Of numbers of 32 bits the place is put
below: then no two are equal, and NumPy's fastest sort, which does not keep the order of equal ones, will do.

Of a few first ones a row fills a list or a buffer; when it is full the better ones are kept, and from then on only what
is better than the worst of them is looked at.  A sample says beforehand what cannot be among them: so an element costs a
few steps, whatever their order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.kernels import threads
from npnn.kernels._jit import jit, kernel

__all__ = ["first_places"]

Array = NDArray[Any]
prange = range  # numba reads this name as its parallel range
_LISTED = 16  # up to so many first ones are kept in a list, in order
_SPARE = 32  # room in the buffer beside what is kept


@kernel
def first_places(rows: Array, k: int, descending: bool) -> Array:
    """Where the first k elements of each row lie, once it is sorted.   (M, n) -> (M, k)"""
    if not descending:
        return np.argsort(rows, axis=-1, kind="stable")[:, :k]
    order = np.argsort(np.flip(rows, -1), axis=-1, kind="stable")
    return (rows.shape[-1] - 1 - np.flip(order, -1))[:, :k]  # ascending order of the reversed row, read backwards


@first_places.fast
def first_places(rows: Array, k: int, descending: bool) -> Array:
    if rows.dtype.char not in "fdilq" or not rows.size or not k:
        return first_places.reference(rows, k, descending)
    n = rows.shape[1]
    bits = np.ascontiguousarray(rows).view(f"i{rows.itemsize}")
    low = int(np.iinfo(bits.dtype).min)  # the sign's bit
    infinity = int(np.array(np.inf, rows.dtype).view(bits.dtype)) if rows.dtype.kind == "f" else -1
    if k <= _LISTED and 4 * k < n:
        places = np.empty((len(rows), k), np.int64)
        threads.run(_list, threads.split(2 * rows.size), bits, low, infinity, descending, places)
        return places
    few = 2 * (2 * k + _SPARE) < n
    keys = np.empty((len(rows), k if few else n), np.int64)
    places = np.empty(keys.shape, np.int64)
    threads.run(_few if few else _all, threads.split(8 * rows.size), bits, low, infinity, descending, keys, places)
    if rows.itemsize == 4:
        keys <<= 32
        keys |= places
        keys.sort(axis=-1)
        keys &= 0xFFFFFFFF
        return keys[:, :k]
    order = np.argsort(keys, axis=-1)
    ordered = np.take_along_axis(keys, order, -1)
    if (ordered[:, 1:] == ordered[:, :-1]).any():
        order = np.argsort(keys, axis=-1, kind="stable")
    return np.take_along_axis(places, order, -1)[:, :k]


@jit(forceinline=True)
def _key(bits, low, infinity, descending):  # type: ignore[no-untyped-def]
    """A whole number in the place of the number with these bits; ``infinity`` is inf's, -1 where they are the number."""
    key = np.int64(bits)
    if infinity >= 0:
        size = key if key >= 0 else key ^ low  # the bits but the sign's
        key = size if key >= 0 else -size
        if size > infinity:
            key = ~np.int64(low)  # nan
    return ~key if descending else key


@jit(parallel=True)
def _all(chunks, bits, low, infinity, descending, keys, places):  # type: ignore[no-untyped-def]
    M, n = bits.shape
    for chunk in prange(chunks):
        for m in range(M * chunk // chunks, M * (chunk + 1) // chunks):
            for i in range(n):
                keys[m, i], places[m, i] = _key(bits[m, i], low, infinity, descending), i


@jit(parallel=True)
def _list(chunks, bits, low, infinity, descending, places):  # type: ignore[no-untyped-def]
    (M, n), k = bits.shape, places.shape[1]
    step = max(n // (4 * k + 16), 1)
    for chunk in prange(chunks):
        best = np.empty(k, np.int64)
        for m in range(M * chunk // chunks, M * (chunk + 1) // chunks):
            row, at = bits[m], places[m]
            limit = np.int64(0)
            for turn in range(2):  # first a sample: what is worse than its first k is not among the first k of all
                held = 0
                for i in range(0, n, 1 if turn else step):
                    key = _key(row[i], low, infinity, descending)
                    if (turn and key > limit) or (held == k and key >= best[k - 1]):  # of equal ones the first is kept
                        continue
                    j = min(held, k - 1)
                    held = min(held + 1, k)
                    while j > 0 and key < best[j - 1]:
                        best[j], at[j] = best[j - 1], at[j - 1]
                        j -= 1
                    best[j], at[j] = key, i
                limit = best[k - 1]


@jit(parallel=True)
def _few(chunks, bits, low, infinity, descending, keys, places):  # type: ignore[no-untyped-def]
    """The first k of each row, in the order in which they lie."""
    (M, n), k = bits.shape, places.shape[1]
    room = 2 * k + _SPARE
    for chunk in prange(chunks):
        best, at = np.empty(room, np.int64), np.empty(room, np.int64)
        for m in range(M * chunk // chunks, M * (chunk + 1) // chunks):
            for s in range(room):  # the first k of a sample: no worse ones are among the first k of all
                at[s] = s * n // room
                best[s] = _key(bits[m, at[s]], low, infinity, descending)
            _select(best, at, room, k)
            held, limit = 0, best[:k].max()
            for i in range(n):
                key = _key(bits[m, i], low, infinity, descending)
                if key > limit:
                    continue
                best[held], at[held] = key, i
                held += 1
                if held == room:
                    _select(best, at, held, k)
                    held, limit = k, best[:k].max() - 1  # of equal ones the first is kept
            _select(best, at, held, k)
            places[m] = np.sort(at[:k])
            for j in range(k):
                keys[m, j] = _key(bits[m, places[m, j]], low, infinity, descending)


@jit(forceinline=True)
def _before(keys, at, i, key, place):  # type: ignore[no-untyped-def]
    return keys[i] < key or (keys[i] == key and at[i] < place)


@jit
def _select(keys, at, n, k):  # type: ignore[no-untyped-def]
    """Put the first k in order to the front, in any order.   Source: Hoare, Algorithm 65: find, 1961."""
    low, high = 0, n - 1
    while low < high:
        a, b, c = low, (low + high) // 2, high  # the middle one of three parts the others
        if _before(keys, at, b, keys[a], at[a]):
            a, b = b, a
        if _before(keys, at, c, keys[b], at[b]):
            b = a if _before(keys, at, c, keys[a], at[a]) else c
        key, place = keys[b], at[b]
        i, j = low, high
        while i <= j:
            while _before(keys, at, i, key, place):
                i += 1
            while keys[j] > key or (keys[j] == key and at[j] > place):
                j -= 1
            if i <= j:
                keys[i], keys[j] = keys[j], keys[i]
                at[i], at[j] = at[j], at[i]
                i += 1
                j -= 1
        if k - 1 <= j:
            high = j
        elif k - 1 >= i:
            low = i
        else:
            return
