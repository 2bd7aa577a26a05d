"""Nets by name: found in the files beside this one, registered from elsewhere, made by name."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import typing
from collections.abc import Iterable
from typing import Any

import flax.linen as nn

from cnn_jax.errors import UserError, nearest, unknown
from cnn_jax.models.options import Option, check_option

# Fields that every net has and that are no options of its architecture.
COMMON_FIELDS = ("num_classes", "dtype", "parent", "name")
# The files of the papers, in the order in which names are listed; others follow by name.
ORDER = (
    *("mlp", "lenet", "alexnet", "vgg", "googlenet", "bn_inception"),
    *(
        "inception_v3",
        "inception_v4",
        "resnet",
        "resnet_cifar",
        "resnet_v2",
        "resnet_v2_cifar",
        "wide_resnet",
    ),
    *("resnext", "mobilenet_v1", "senet", "mobilenet_v2", "mobilenet_v3"),
    *("efficientnet", "convnext", "simple_cnn", "airbench"),
)


@dataclasses.dataclass(frozen=True)
class Net:
    """One registered name: the module, what the name presets of it, and the paper's input."""

    module: type[nn.Module]
    preset: dict[str, Any] = dataclasses.field(default_factory=dict)
    input_shape: tuple[int, int, int] = (224, 224, 3)  # height, width, channels
    num_classes: int = 1000
    # Fields set by the name alone (a depth, a column of the paper's table).
    not_options: tuple[str, ...] = ()

    def options(self) -> dict[str, Option]:
        """What may be changed of the net, by name, with its type and its default here."""
        hints = typing.get_type_hints(self.module, include_extras=True)
        options = {}
        for field in dataclasses.fields(self.module):
            if field.name not in (*COMMON_FIELDS, *self.not_options):
                default = self.preset.get(field.name, field.default)
                options[field.name] = Option(hints[field.name], default)
        return options


REGISTRY: dict[str, Net] = {}


def register(name: str, net: Net) -> None:
    """Adds a net under a name of its own, from any file; raises `UserError` if it is taken."""
    if REGISTRY.get(name, net) != net:
        raise UserError(f"the name {name!r} is taken by {REGISTRY[name].module.__module__}")
    REGISTRY[name] = net


def discover(package: str, path: Iterable[str]) -> None:
    """Registers the `NETS` of every file in a package's folders."""
    files = [file.name for file in pkgutil.iter_modules(path) if not file.ispkg]
    ranks = {name: rank for rank, name in enumerate(ORDER)}
    for file in sorted(files, key=lambda name: (ranks.get(name, len(ORDER)), name)):
        module = importlib.import_module(f"{package}.{file}")
        for name, net in getattr(module, "NETS", {}).items():
            register(name, net)


def names() -> list[str]:
    """Every registered name, in the order of the papers."""
    return list(REGISTRY)


def create(
    name: str, num_classes: int | None = None, *, dtype: Any = None, **options: Any
) -> nn.Module:
    """The net `name`, with `num_classes` logits (the paper's number by default).

    `options` are the net's ablations (`norm="none"`, `lrn=False`, ...). An unknown name, option or
    value raises `UserError`, which names the choices.
    """
    if name not in REGISTRY:
        raise unknown("model.name", name, sorted(REGISTRY))
    if num_classes is not None and num_classes < 1:
        raise UserError(f"num_classes={num_classes} of {name}: choose a number >= 1")
    net = REGISTRY[name]
    allowed = net.options()
    checked = {}
    for key, value in options.items():
        if key not in allowed:
            raise UserError(
                f"model.{key}={value!r} is no option of {name}{nearest(key, allowed)}; "
                f"its options: {', '.join(sorted(allowed)) or 'none'}"
            )
        checked[key] = check_option(name, key, value, allowed[key].annotation)
    return net.module(
        num_classes=net.num_classes if num_classes is None else num_classes,
        dtype=dtype,
        **{**net.preset, **checked},
    )
