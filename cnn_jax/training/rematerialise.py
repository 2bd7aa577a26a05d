"""Activations that are computed again in the backward pass, to save the memory that they took."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax

from cnn_jax.transfer.freezing import matches


def rematerialised(patterns: Sequence[str]) -> contextlib.AbstractContextManager[None]:
    """Within it, of the top-level modules that a pattern names only what goes in is kept.

    Patterns are those of `freeze`: "layer1" is all of its blocks, each by itself.
    """
    if not patterns:
        return contextlib.nullcontext()
    under_way: set[tuple[str, ...]] = set()

    def intercept(call: Callable, args: Any, kwargs: Any, context: Any) -> Any:
        module = context.module
        path = module.path
        chosen = len(path) == 1 and any(matches(pattern, path[0]) for pattern in patterns)
        if context.method_name != "__call__" or not chosen or path in under_way:
            return call(*args, **kwargs)
        under_way.add(path)
        try:
            return call_again(module, args, kwargs)
        finally:
            under_way.discard(path)

    return nn.intercept_methods(intercept)


def call_again(module: nn.Module, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """The module's outcome, with a backward pass that calls it once more."""
    is_array = [isinstance(arg, jax.Array) for arg in args]
    arrays = [arg for arg, found in zip(args, is_array, strict=True) if found]

    def call(module: nn.Module, *arrays: jax.Array) -> Any:
        left = iter(arrays)
        words = [next(left) if found else arg for arg, found in zip(args, is_array, strict=True)]
        return type(module).__call__(module, *words, **kwargs)

    return nn.remat(call)(module, *arrays)
