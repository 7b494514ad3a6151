"""Vectors of numbers in LLVM's own language: what the innermost loops that compilers do not find are written with."""

from __future__ import annotations

import functools
from typing import Any

__all__ = ["Vectors", "is_wide"]


@functools.cache
def is_wide() -> bool:
    """True where registers hold 64 bytes (AVX-512), not 32, on the processor that numba compiles for.

    That is this one, or the one that NUMBA_CPU_NAME says: what it has is seen in the code that LLVM makes for it.
    """
    from llvmlite import binding
    from numba.core import config

    name, features = config.CPU_NAME, config.CPU_FEATURES  # type: ignore[attr-defined]
    if not name and features is None:
        return bool(binding.get_host_cpu_features().get("avx512f", False))
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    triple = binding.get_default_triple()
    target = binding.Target.from_triple(triple).create_target_machine(
        cpu=name or binding.get_host_cpu_name(), features=features or ""
    )
    add = "define <16 x float> @f(<16 x float> %a) {\n%b = fadd <16 x float> %a, %a\nret <16 x float> %b\n}"
    return "zmm" in target.emit_assembly(binding.parse_assembly(f'target triple = "{triple}"\n{add}'))


class Vectors:
    """Loads, stores and loops for vectors of ``lanes`` numbers of ``size`` bytes, as instructions of a builder."""

    def __init__(self, builder: Any, size: int):
        from llvmlite import ir

        self.ir, self.builder, self.size = ir, builder, size
        self.number = ir.FloatType() if size == 4 else ir.DoubleType()
        self.lanes = (64 if is_wide() else 32) // size
        self.word, self.byte = ir.IntType(64), ir.IntType(8)
        self.vector, self.lane_type = ir.VectorType(self.number, self.lanes), ir.VectorType(ir.IntType(32), self.lanes)
        self.mask_type = ir.VectorType(ir.IntType(1), self.lanes)
        self.zero = ir.Constant(self.vector, [0.0] * self.lanes)
        self.name = f"v{self.lanes}f{8 * size}"

    def at(self, base: Any, offset: Any, kind: Any = None) -> Any:
        """The address ``offset`` bytes behind ``base``."""
        start = self.builder.bitcast(base, self.byte.as_pointer())
        return self.builder.bitcast(self.builder.gep(start, [offset]), (kind or self.number).as_pointer())

    def loop(self, start: Any, stop: Any, step: int) -> Any:
        from numba.core import cgutils

        return cgutils.for_range_slice(self.builder, start, stop, self.word(step), inc=True)

    def spread(self, x: Any, kind: Any = None) -> Any:
        """A vector of copies of x."""
        x = self.builder.insert_element(self.ir.Constant(kind or self.vector, self.ir.Undefined), x, self.word(0))
        return self.builder.shuffle_vector(x, x, self.ir.Constant(self.lane_type, [0] * self.lanes))

    def mask(self, n: Any) -> Any:
        """True for the lanes that are left of n numbers after whole vectors."""
        left = self.builder.trunc(self.builder.and_(n, self.word(self.lanes - 1)), self.ir.IntType(32))
        numbered = self.ir.Constant(self.lane_type, list(range(self.lanes)))
        return self.builder.icmp_signed("<", numbered, self.spread(left, self.lane_type))

    def load(self, place: Any, mask: Any) -> Any:
        """A vector, with zeros where the mask is not set: memory is not touched there."""
        if mask is None:
            return self.builder.load(place, align=self.size)
        kind = self.ir.FunctionType(self.vector, [place.type, self.ir.IntType(32), self.mask_type, self.vector])
        masked = self._function(kind, f"llvm.masked.load.{self.name}.p0")
        return self.builder.call(masked, [place, self.ir.IntType(32)(self.size), mask, self.zero])

    def store(self, value: Any, place: Any, mask: Any) -> None:
        if mask is None:
            self.builder.store(value, place, align=self.size)
            return
        kind = self.ir.FunctionType(self.ir.VoidType(), [self.vector, place.type, self.ir.IntType(32), self.mask_type])
        masked = self._function(kind, f"llvm.masked.store.{self.name}.p0")
        self.builder.call(masked, [value, place, self.ir.IntType(32)(self.size), mask])

    def multiply_add(self, x: Any, y: Any, total: Any) -> Any:
        """x y + total, rounded once."""
        return self.builder.fadd(total, self.builder.fmul(x, y, flags=("contract",)), flags=("contract",))

    def _function(self, kind: Any, name: str) -> Any:
        from numba.core import cgutils

        return cgutils.get_or_insert_function(self.builder.module, kind, name)
