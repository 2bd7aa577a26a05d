"""Options of nets: what a value may be is said once, by the type of the module's field.

A field is a `Literal`, a plain type, or one of the types below, which have a range too. Commands,
configs and pages read it from there.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Annotated, Any, Literal

from cnn_jax.errors import UserError, out_of_range, unknown, within


@dataclasses.dataclass(frozen=True)
class Range:
    """The condition that a number fulfils, or each of a tuple: ">= 0 and < 1"."""

    condition: str

    def holds(self, value: Any) -> bool:
        entries = value if isinstance(value, tuple | list) else [value]
        return all(within(entry, self.condition) for entry in entries)


Rate = Annotated[float, Range(">= 0 and < 1")]  # of dropout
Scale = Annotated[float, Range("> 0")]
NonNegative = Annotated[float, Range(">= 0")]
Count = Annotated[int, Range(">= 1")]
Widths = Annotated[tuple[int, ...], Range(">= 1")]


class Option(typing.NamedTuple):
    """An option of a net: the annotation of its field, and its default under the net's name."""

    annotation: Any
    default: Any

    @property
    def type(self) -> type:
        """The plain type of its values; of a choice, that of the first."""
        annotation = self.annotation
        if typing.get_origin(annotation) is Annotated:
            annotation = typing.get_args(annotation)[0]
        if typing.get_origin(annotation) is Literal:
            return type(typing.get_args(annotation)[0])
        if typing.get_origin(annotation) in (typing.Union, types.UnionType):
            annotation = typing.get_args(annotation)[0]
        return typing.get_origin(annotation) or annotation


def check_option(net: str, key: str, value: Any, annotation: Any) -> Any:
    """`value` if it is one that the annotation of an option allows; else a one-line `UserError`.

    A whole number becomes a float, and a list a tuple, where the annotation has these.
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    label = f"model.{key}"
    if origin is Annotated:
        return check_range(net, key, value, arguments)
    if origin is Literal:
        if value not in arguments or type(value) not in {type(c) for c in arguments}:
            raise unknown(f"{net}: {label}", value, map(str, arguments))
        return value
    if origin in (typing.Union, types.UnionType):
        for member in arguments:
            try:
                return check_option(net, key, value, member)
            except UserError:
                continue
        raise UserError(f"{net}: {label}={value!r} has the wrong type; expected {annotation}")
    plain = origin or annotation
    if plain is float and type(value) is int:
        return float(value)
    if plain is tuple and isinstance(value, list):
        value = tuple(value)
    if plain in (int, float, str, bool, tuple, type(None)) and type(value) is not plain:
        raise UserError(
            f"{net}: {label}={value!r} has the wrong type {type(value).__name__}; "
            f"expected {plain.__name__}"
        )
    if plain is tuple and arguments and arguments[-1] is Ellipsis:
        return tuple(check_option(net, key, entry, arguments[0]) for entry in value)
    return value


def check_range(net: str, key: str, value: Any, arguments: tuple[Any, ...]) -> Any:
    """`check_option` for `Annotated[type, Range(...)]`."""
    annotation, *metadata = arguments
    if not isinstance(value, tuple | list):  # of a tuple, the entries that are no numbers are told
        value = check_option(net, key, value, annotation)
    for limit in metadata:
        if isinstance(limit, Range) and not limit.holds(value):
            raise out_of_range(f"model.{key}", value, limit.condition)
    return check_option(net, key, value, annotation)
