"""Whether values that a file of JSON holds are what its writer puts there.

A shape is a type, a list [shape] of any length, a tuple of as many as there are, or a dict: {str:
shape} has any keys, {"a": shape, "b?": shape} those, of which "b" may be null or missing; other
keys may hold anything. `float` is any number, whole ones too, but no truth.
"""

from __future__ import annotations

from typing import Any


def check_shape(value: Any, shape: Any, where: str = "") -> None:
    """Raises `ValueError` that names the first place where a value is of another shape."""
    if isinstance(shape, dict):
        expect(value, dict, where)
        if str in shape:
            pairs = [(key, shape[str]) for key in value]
        else:
            pairs = [(key, own) for key, own in shape.items() if not is_open(value, key, where)]
        for key, own in pairs:
            key = key.removesuffix("?") if str not in shape else key
            check_shape(value[key], own, f"{where}.{key}" if where else key)
    elif isinstance(shape, list | tuple):
        expect(value, list, where)
        if isinstance(shape, tuple) and len(value) != len(shape):
            raise ValueError(f"{where!r} holds {len(value)} values, not {len(shape)}")
        wanted = shape if isinstance(shape, tuple) else shape * len(value)
        for number, (entry, own) in enumerate(zip(value, wanted, strict=True)):
            check_shape(entry, own, f"{where}[{number}]")
    else:
        expect(value, shape, where)


def fits(value: Any, shape: Any) -> bool:
    try:
        check_shape(value, shape)
    except ValueError:
        return False
    return True


def is_open(value: dict[str, Any], key: str, where: str) -> bool:
    """Whether "b?" has no value; raises `ValueError` for a key that must be there."""
    if key.endswith("?"):
        return value.get(key.removesuffix("?")) is None
    if key not in value:
        raise ValueError(f"{where!r} has no key {key!r}" if where else f"it has no key {key!r}")
    return False


def expect(value: Any, kind: type, where: str) -> None:
    kinds = (int, float) if kind is float else kind
    if not isinstance(value, kinds) or (isinstance(value, bool) and kind is not bool):
        names = {float: "a number", int: "a whole number", str: "text", list: "a list"}
        wanted = names.get(kind, "values by key")
        raise ValueError(f"{where!r} is of type {type(value).__name__}, not {wanted}")
