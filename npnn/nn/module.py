"""Module: a tree of layers.  It finds its own weights, moves, saves and prints itself."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from npnn import dtypes
from npnn.device import check_device
from npnn.errors import LayerError
from npnn.hooks import Handle
from npnn.nn.hooks import Hooks
from npnn.nn.tree import Parameter, Tree, UninitializedParameter, join
from npnn.tensor import Tensor, of_array

__all__ = ["Module", "Parameter"]


class IncompatibleKeys(NamedTuple):
    """What load_state_dict returns: the keys that it missed, and those that it did not expect."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


class Module(Tree):
    """Base class of all layers and models.

    A subclass assigns Parameters and Modules to attributes in ``__init__`` and writes ``forward``.
    The tree is whatever the attributes say: there is no second register to keep in step.  Arrays
    that are saved but not trained (running means) are named by ``register_buffer``.
    """

    training = True
    _hooks: Hooks | None = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if self._hooks is None:
                return self.forward(*args, **kwargs)
            return self._hooks.run(self, args, kwargs)
        except LayerError as error:
            error.came_through(self)
            raise

    # ---- hooks

    def _hook(self, kind: str, hook: Callable[..., Any], prepend: bool = False, **options: Any) -> Handle:
        if self._hooks is None:
            self._hooks = Hooks()
        return self._hooks.add(kind, hook, prepend, options)

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> Handle:
        """Call ``hook(module, args)`` before forward; what it returns, if not None, takes the place of the arguments."""
        return self._hook("forward_pre", hook, prepend, with_kwargs=with_kwargs)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> Handle:
        """Call ``hook(module, args, output)`` after forward; what it returns, if not None, replaces the output."""
        return self._hook("forward", hook, prepend, with_kwargs=with_kwargs)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Handle:
        """Call ``hook(module, grad_output)`` before the layer's gradients are computed; it may replace grad_output."""
        return self._hook("full_backward_pre", hook, prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Handle:
        """Call ``hook(module, grad_input, grad_output)`` with the layer's gradients; it may replace grad_input."""
        return self._hook("full_backward", hook, prepend)

    register_backward_hook = register_full_backward_hook

    # ---- what to do with the whole tree

    def apply(self, fn: Callable[[Module], Any]) -> Module:
        """Call ``fn`` on every module, children first (for example to initialise the weights)."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Module:
        """Training mode: dropout drops, batch norm uses and updates batch statistics."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """Evaluation mode."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        for p in self.parameters():
            if set_to_none:
                p.grad = None
            elif p.grad is not None:
                p.grad.array.fill(0)

    def to(
        self, *args: Any, device: Any = None, dtype: Any = None, non_blocking: bool = False, memory_format: Any = None
    ) -> Module:
        """Cast every floating-point parameter and buffer to a dtype (or a tensor's), in place; gradients as well.

        The one device is "cpu": ``to("cpu")`` does nothing.
        """
        dtype = dtypes.destination(args, device, dtype)
        if dtype is None:
            return self
        if dtype.kind != "f":
            raise TypeError(f"a module can be cast to float32 or float64, not to {dtype}")
        for t in (*self.parameters(), *self.buffers()):
            if isinstance(t, UninitializedParameter):
                t.cast(dtype)
            elif t.array.dtype.kind == "f":
                gradient, t._grad = t._grad, None
                t.array = t.array.astype(dtype, copy=False)  # keeps the memory order
                if gradient is not None:
                    t._grad = of_array(gradient.array.astype(dtype, copy=False))
        return self

    def cpu(self) -> Module:
        """The module itself: it is on the CPU."""
        return self

    def cuda(self, device: Any = None) -> Module:
        """Errors: AssertionError: npnn computes on the CPU."""
        check_device("cuda")
        return self

    def to_empty(self, *, device: Any, recurse: bool = True) -> Module:
        """The module itself: its memory is on the one device there is."""
        check_device(device)
        return self

    def bfloat16(self) -> Module:
        """Errors: TypeError: tensors hold no bfloat16."""
        return self.to(dtype=dtypes.NAMES["bfloat16"])

    def half(self) -> Module:
        """Errors: TypeError: tensors hold no float16."""
        return self.to(dtype=dtypes.NAMES["float16"])

    def type(self, dst_type: Any) -> Module:
        """Cast as ``to``."""
        return self.to(dtype=dst_type)

    def share_memory(self) -> Module:
        """The module itself: accepted, as in torch on one process."""
        return self

    def compile(self, *args: Any, **options: Any) -> None:
        """Nothing: the kernels are compiled already."""

    def float(self) -> Module:
        return self.to(dtypes.float32)

    def double(self) -> Module:
        return self.to(dtypes.float64)

    # ---- saving and loading

    def _named_state(self) -> Iterator[tuple[str, Tensor]]:
        """Parameters and persistent buffers in torch's order: a module's own, then its children's."""
        for path, module in self.named_modules(remove_duplicate=False):
            own = vars(module).items()
            for name, value in own:
                if isinstance(value, Parameter):
                    yield join(path, name), value
            for name, value in own:
                if name in module._buffer_names and name not in module._non_persistent and value is not None:
                    yield join(path, name), value

    def state_dict(self, *, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> Any:
        """Every weight and buffer under its dotted name.  The tensors share memory with the model's."""
        state = OrderedDict() if destination is None else destination
        for name, t in self._named_state():
            state[prefix + name] = t if keep_vars else t.detach()
        return state

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy values (tensors or arrays, of either framework) into the model; or, with ``assign``, take their memory.

        Returns the missing and the unexpected keys.
        Errors: RuntimeError listing every missing, unexpected (if ``strict``) and misshapen key at
        once; the model is then unchanged.
        """
        for path, module in list(self.named_modules()):
            module._before_loading(state_dict, join(path, ""))
        own = dict(self._named_state())
        missing = [k for k in own if k not in state_dict]
        unexpected = [k for k in state_dict if k not in own]
        arrays: dict[str, NDArray[Any]] = {}
        problems = []
        for name in own.keys() & state_dict.keys():
            value = state_dict[name]
            arrays[name] = np.asarray(value.detach() if hasattr(value, "detach") else value)
            if arrays[name].shape != own[name].shape:
                problems.append(f"size mismatch for {name}: expected {own[name].array.shape}, got {arrays[name].shape}")
        if strict and missing:
            problems.insert(0, "missing keys: " + ", ".join(missing))
        if strict and unexpected:
            problems.insert(0, "unexpected keys: " + ", ".join(unexpected))
        if problems:
            raise RuntimeError(f"cannot load state_dict into {type(self).__name__}:\n  " + "\n  ".join(problems))
        for name, array in arrays.items():
            if assign:
                own[name].array = array
            else:
                np.copyto(own[name].array, array, casting="same_kind")
                own[name]._mark_changed("load_state_dict")
        return IncompatibleKeys(missing, unexpected)

    def _before_loading(self, state: Mapping[str, Any], prefix: str) -> None:
        """Get ready for the weights whose names begin with ``prefix``: lazy layers do."""

    # ---- printing

    def extra_repr(self) -> str:
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        lines = []
        for name, child in ((n, m) for n, m in vars(self).items() if isinstance(m, Module)):
            first, *rest = repr(child).split("\n")
            lines.append("\n".join([f"  ({name}): {first}", *("  " + line for line in rest)]))
        if not lines:
            return f"{self._get_name()}({self.extra_repr()})"
        head = [f"  {self.extra_repr()}"] if self.extra_repr() else []
        return "\n".join([f"{self._get_name()}(", *head, *lines, ")"])
