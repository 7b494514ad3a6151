"""A module called with other parameters than its own."""

from __future__ import annotations

from typing import Any

__all__ = ["functional_call"]


def functional_call(
    module: Any, parameter_and_buffer_dicts: Any, args: Any = None, kwargs: Any = None, *, tie_weights: bool = True,
    strict: bool = False,
) -> Any:  # fmt: skip
    """module(*args, **kwargs) with tensors in the place of the parameters and buffers of those names.

    The names are those of ``state_dict``; several dicts are taken together.  The module itself stays as it is.
    A parameter that the module has under two names is replaced under both, unless ``tie_weights`` is False.
    Errors: KeyError for a name that it has not; RuntimeError with ``strict`` for one that is missing.
    """
    given: dict[str, Any] = {}
    several = isinstance(parameter_and_buffer_dicts, (list, tuple))
    for part in parameter_and_buffer_dicts if several else [parameter_and_buffer_dicts]:
        given.update(part)
    own = dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))
    for name in given:
        if name not in own:
            raise KeyError(f"functional_call: the module has no parameter or buffer {name!r}")
    if strict and set(own) - set(given):
        raise RuntimeError(f"functional_call: missing {', '.join(sorted(set(own) - set(given)))}")
    if tie_weights:
        same = {id(own[name]): value for name, value in given.items()}
        given = {name: same[id(tensor)] for name, tensor in own.items() if id(tensor) in same}
    before: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for name, value in given.items():
            path, _, last = name.rpartition(".")
            members = vars(module.get_submodule(path))
            before.append((members, last, members[last]))
            members[last] = value
        return module(*(args if isinstance(args, tuple) else () if args is None else (args,)), **(kwargs or {}))
    finally:
        for members, last, value in before:
            members[last] = value
