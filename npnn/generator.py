"""A generator of random numbers: PyTorch's stream, its seeds and states, and the order in which an array is filled.

Arrays are filled in the order of their memory, as in PyTorch; those whose channels lie together
(as npnn keeps images, where PyTorch does not) are filled in the order of their indices.
"""

from __future__ import annotations

import contextlib
import math
import secrets
import struct
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npnn.device import CPU, check_device, device
from npnn.kernels import draws, twister

__all__ = ["Generator"]

_HEADER = struct.Struct("<QiiQ")  # seed, words left, seeded, words used; then 624 words in 8 bytes each
_NORMAL = struct.Struct("<dddi4xfB3x")  # unused, the kept normal number, unused, is it kept; and the same in float32
STATE_SIZE = _HEADER.size + 8 * twister.N + _NORMAL.size


class Generator:
    """A source of random numbers, and where it stands.   ``Generator().manual_seed(0)``

    Two generators with one state give the same numbers.  ``get_state`` and ``set_state`` use the bytes
    of PyTorch's CPU generator, so that a state moves from one framework to the other.  Threads may
    share one: each draw is whole, their order is the threads'.
    Errors: for a device other than "cpu", as check_device.
    """

    def __init__(self, device: Any = "cpu"):
        check_device(device)
        self._lock = threading.Lock()
        _LOCKED.add(self)
        self.manual_seed(67280421310721)  # PyTorch's own default: an unseeded Generator() is not random

    # ---- seeds and states

    def manual_seed(self, seed: int) -> Generator:
        """Start anew from a seed of 64 bits (a negative one counts from 2⁶⁴ downwards), of which 32 are used.

        Errors: ValueError for a seed of more than 64 bits.
        """
        number = int(seed)
        if not -(1 << 63) <= number < 1 << 64:
            raise ValueError(f"a seed has 64 bits, from -2**63 to 2**64 - 1; got {number}")
        self._seed = number % (1 << 64)
        self._state = twister.stand(twister.seed(self._seed))
        self._kept = math.nan  # the second number of a pair of normal ones, if there is one
        return self

    def seed(self) -> int:
        """Start anew from a seed that nobody can foresee, and return it."""
        self.manual_seed(secrets.randbits(64))
        return self._seed

    def initial_seed(self) -> int:
        """The seed that the generator was started from."""
        return self._seed

    def state_bytes(self) -> NDArray[np.uint8]:
        """The state, 5,056 bytes in PyTorch's layout."""
        with self._lock:
            key, words, at = self._state[: twister.N], self._state[twister.N : -1], int(self._state[-1])
            fresh = at == twister.N and not words.any()
            used, left = (0, 1) if fresh else (at, twister.N + 1 - at)  # as PyTorch counts
            kept = 0.0 if math.isnan(self._kept) else self._kept
            return np.frombuffer(
                _HEADER.pack(self._seed, left, 1, used)
                + key.astype("<u8").tobytes()
                + _NORMAL.pack(0.0, kept, 0.0, not math.isnan(self._kept), 0.0, False),
                np.uint8,
            ).copy()

    def set_state_bytes(self, state: Any) -> Generator:
        """Go on from a state that ``state_bytes`` of npnn or ``get_state`` of PyTorch returned.

        Errors: RuntimeError for anything else.
        """
        given = np.asarray(state)
        if given.dtype != np.uint8 or given.size != STATE_SIZE:
            raise RuntimeError(
                f"a generator's state is {STATE_SIZE} bytes (uint8), got {given.size} elements of {given.dtype}"
            )
        data = given.tobytes()
        seed, left, _, used = _HEADER.unpack_from(data)
        if not (1 <= left <= twister.N and used <= twister.N):
            raise RuntimeError("these bytes are not the state of a CPU generator")
        _, kept, _, is_kept, _, _ = _NORMAL.unpack_from(data, STATE_SIZE - _NORMAL.size)
        key = np.frombuffer(data, "<u8", twister.N, _HEADER.size).astype(np.uint32)
        with self._lock:
            self._seed = seed
            fresh = left == 1 and used == 0
            self._state = twister.stand(key, None if fresh else twister.N if left == 1 else used)
            self._kept = kept if is_kept else math.nan
        return self

    get_state: Any  # lent by npnn.ops.drawing: the state as a tensor, which PyTorch's ``set_state`` takes as well

    def set_state(self, new_state: Any) -> Generator:
        """Go on from a state that ``get_state`` of npnn or PyTorch returned.  Errors: RuntimeError for anything else."""
        return self.set_state_bytes(new_state)

    @property
    def device(self) -> device:
        return CPU

    def __reduce__(self) -> Any:
        return _restored, (self.state_bytes(),)

    def __repr__(self) -> str:
        return f"<npnn.Generator of seed {self._seed}>"

    # ---- draws that fill an array in place

    def _fill(self, draw: Callable[..., Any], out: NDArray[Any], *numbers: Any) -> NDArray[Any]:
        """draw(state, flat, *numbers), ``flat`` being the array in the order of filling."""
        with self._lock:
            if out.flags.c_contiguous:
                draw(self._state, out if out.ndim == 1 else out.reshape(-1), *numbers)
            else:
                flat = np.empty(out.size, out.dtype)
                draw(self._state, flat, *numbers)
                order = filling_order(out)
                out.transpose(order)[...] = flat.reshape([out.shape[a] for a in order])
        return out

    def uniform_(self, out: NDArray[Any], low: float = 0.0, high: float = 1.0) -> NDArray[Any]:
        """Between low and high:   u (high - low) + low"""
        return self._fill(draws.uniform, out, float(low), float(high))

    def bernoulli_(self, out: NDArray[Any], p: float, one: float = 1) -> NDArray[Any]:
        """``one`` with probability p, else 0:   u < p, with u in float64 whatever the dtype"""
        return self._fill(draws.bernoulli, out, float(p), one)

    def integers_(self, out: NDArray[Any], low: int, high: int) -> NDArray[Any]:
        """Whole numbers from low to high - 1:   r mod (high - low) + low"""
        return self._fill(draws.integers, out, int(high) - int(low), int(low))

    def normal_(self, out: NDArray[Any], mean: float = 0.0, std: float = 1.0) -> NDArray[Any]:
        """Normal numbers, two from each pair of uniform ones (Box and Muller).

        Fewer than 16, or with gaps in memory: in float64, one pair after the other, and the second
        number of the last pair is kept for the next such draw.
        """
        if out.size >= 16 and dense(out):
            return self._fill(draws.normal, out, mean, std)
        return self._fill(self._few_normals, out, mean, std)

    def _few_normals(self, state: Any, out: NDArray[Any], mean: float, std: float) -> None:
        self._kept = draws.few_normals(state, self._kept, out, mean, std)

    def _unit(self) -> float:
        """One uniform number in float64.  The lock is the caller's."""
        high, low = twister.raw(self._state, 2).tolist()
        return ((high << 32 | low) & ((1 << 53) - 1)) * 2.0**-53

    def transformed_(self, out: NDArray[Any], formula: Callable[[NDArray[Any]], NDArray[Any]]) -> NDArray[Any]:
        """formula(u) of uniform numbers u in float64, rounded to the array's dtype."""

        def draw(state: Any, flat: NDArray[Any]) -> None:
            u = np.empty(flat.size)
            draws.uniform(state, u, 0.0, 1.0)
            flat[:] = formula(u)

        return self._fill(draw, out)

    def sequence_(self, out: NDArray[Any], draw: Callable[[int, Callable[[], float]], float]) -> NDArray[Any]:
        """draw(i, unit) for each element in turn, which calls ``unit()`` for as many uniform numbers as it likes."""

        def one_by_one(state: Any, flat: NDArray[Any]) -> None:
            for i in range(flat.size):
                flat[i] = draw(i, self._unit)

        return self._fill(one_by_one, out)

    # ---- draws that make an array or a number

    def rand(self, *shape: int, dtype: Any = np.float32) -> NDArray[Any]:
        """Uniform in [0, 1)."""
        return self.uniform_(np.empty(shape, dtype))

    def randn(self, *shape: int, dtype: Any = np.float32) -> NDArray[Any]:
        """Standard normal."""
        return self.normal_(np.empty(shape, dtype))

    def randint(self, low: int, high: int, shape: Sequence[int] = ()) -> NDArray[Any]:
        """Whole numbers from low to high - 1."""
        return self.integers_(np.empty(shape, np.int64), low, high)

    def randperm(self, n: int) -> NDArray[np.int64]:
        """The numbers 0 to n - 1 in random order, each exchanged with one behind it or itself."""
        out = np.empty(n, np.int64)
        with self._lock:
            draws.permutation(self._state, out)
        return out

    def random64(self) -> int:
        """A whole number from 0 to 2⁶³ - 1, as a seed for another generator."""
        return int(self.integers_(np.empty((), np.int64), 0, 1 << 63))

    def words(self, n: int) -> NDArray[np.uint32]:
        """The next n words of 32 bits."""
        with self._lock:
            return twister.raw(self._state, n).copy()


class Borrowed(Generator):
    """A generator that draws from another program's stream: it fetches the state before a draw, and gives it back.

    ``get`` returns the state's bytes, ``set`` takes them: a PyTorch model is trained on batches in the order
    that PyTorch's own loader would have drawn.
    """

    def __init__(self, get: Callable[[], Any], set: Callable[[Any], Any]):
        self._get, self._set = get, set
        super().__init__()

    @contextlib.contextmanager
    def _lent(self) -> Iterator[None]:
        super().set_state_bytes(self._get())
        yield
        self._set(super().state_bytes())

    def _fill(self, draw: Callable[..., Any], out: NDArray[Any], *numbers: Any) -> NDArray[Any]:
        with self._lent():
            return super()._fill(draw, out, *numbers)

    def randperm(self, n: int) -> NDArray[np.int64]:
        with self._lent():
            return super().randperm(n)

    def words(self, n: int) -> NDArray[np.uint32]:
        with self._lent():
            return super().words(n)

    def state_bytes(self) -> NDArray[np.uint8]:
        return np.asarray(self._get(), np.uint8).copy()

    def set_state_bytes(self, state: Any) -> Generator:
        self._set(np.asarray(state, np.uint8))
        return self


_LOCKED: weakref.WeakSet[Generator] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for each in _LOCKED:
        each._lock = threading.Lock()  # free, whoever held it


def _restored(state: NDArray[np.uint8]) -> Generator:
    return Generator().set_state_bytes(state)


def dense(array: NDArray[Any]) -> bool:
    """True if PyTorch would call the tensor contiguous: in the order of its indices, or images as npnn keeps them."""
    return array.flags.c_contiguous or _channels_together(array)


def _channels_together(array: NDArray[Any]) -> bool:
    """(N, C, ...) with the channels next to each other in memory, without gaps, and not a view cut by the user."""
    return array.ndim > 2 and array.transpose(0, *range(2, array.ndim), 1).flags.c_contiguous


def filling_order(array: NDArray[Any]) -> list[int]:
    """The axes from the slowest to the fastest in memory; as they are for what ``dense`` takes."""
    axes = list(range(array.ndim))
    return axes if dense(array) else sorted(axes, key=lambda a: -abs(array.strides[a]))
