"""Nets by name: what a name fixes, which options it takes, and errors that list the choices."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, Literal

import flax.linen as nn

from cnn_jax.errors import UserError, nearest, unknown

# Fields that every net has and that are no options of its architecture.
COMMON_FIELDS = ("num_classes", "dtype", "parent", "name")


@dataclasses.dataclass(frozen=True)
class Net:
    """One registered name: the module, what the name fixes of it, and the paper's input."""

    module: type[nn.Module]
    preset: dict[str, Any] = dataclasses.field(default_factory=dict)
    input_shape: tuple[int, int, int] = (224, 224, 3)  # height, width, channels
    num_classes: int = 1000
    # Fields set by the name alone (a depth, a column of the paper's table): never an option.
    not_options: tuple[str, ...] = ()

    def options(self) -> dict[str, tuple[Any, Any]]:
        """Option name -> (type, default under this name)."""
        hints = typing.get_type_hints(self.module)
        out = {}
        for field in dataclasses.fields(self.module):
            if field.name in COMMON_FIELDS or field.name in self.not_options:
                continue
            default = self.preset.get(field.name, field.default)
            out[field.name] = (hints[field.name], default)
        return out


def check_option(net: str, key: str, value: Any, kind: Any) -> Any:
    """`value` if it is one that `kind`, an option's annotation, allows; else a one-line error."""
    label = f"model.{key}"
    if typing.get_origin(kind) is Literal:
        choices = typing.get_args(kind)
        if value not in choices or type(value) not in {type(c) for c in choices}:
            raise unknown(f"{net}: {label}", value, map(str, choices))
        return value
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        for member in typing.get_args(kind):
            try:
                return check_option(net, key, value, member)
            except UserError:
                continue
        raise UserError(f"{net}: {label}={value!r} has the wrong type; expected {kind}")
    plain = typing.get_origin(kind) or kind
    if plain is float and type(value) is int:
        return float(value)
    if plain is tuple and isinstance(value, list):
        value = tuple(value)
    if plain in (int, float, str, bool, tuple, type(None)) and type(value) is not plain:
        raise UserError(
            f"{net}: {label}={value!r} has the wrong type {type(value).__name__}; "
            f"expected {plain.__name__}"
        )
    if plain is tuple and (items := typing.get_args(kind)) and items[-1] is Ellipsis:
        return tuple(check_option(net, key, entry, items[0]) for entry in value)
    return value


def build(
    registry: dict[str, Net], name: str, num_classes: int | None, dtype: Any, options: dict
) -> nn.Module:
    """The module of a registered `name` with `options` checked one by one."""
    if name not in registry:
        raise unknown("model.name", name, sorted(registry))
    if num_classes is not None and num_classes < 1:
        raise UserError(f"num_classes={num_classes} of {name}: choose a number >= 1")
    net = registry[name]
    allowed = net.options()
    checked = {}
    for key, value in options.items():
        if key not in allowed:
            raise UserError(
                f"model.{key}={value!r} is no option of {name}{nearest(key, allowed)}; "
                f"its options: {', '.join(sorted(allowed)) or 'none'}"
            )
        checked[key] = check_option(name, key, value, allowed[key][0])
    return net.module(
        num_classes=net.num_classes if num_classes is None else num_classes,
        dtype=dtype,
        **{**net.preset, **checked},
    )
