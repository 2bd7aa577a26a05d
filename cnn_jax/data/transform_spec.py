"""Functions that a config names with their numbers: `"scale_jitter(256, 480)"`."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import math
import re
from collections.abc import Callable, Mapping

from cnn_jax.errors import UserError, unknown


@dataclasses.dataclass(frozen=True)
class TransformSpec:
    """A function's name, and its arguments by name, defaults included."""

    name: str
    arguments: dict[str, int | float]

    @property
    def numbers(self) -> tuple[float, ...]:
        """The arguments in order."""
        return tuple(self.arguments.values())


def parse_spec(
    key: str, text: str, functions: Mapping[str, Callable], leading: int
) -> TransformSpec:
    """What `"name"` or `"name(numbers)"` asks for; `key` names the config key in an error.

    The first `leading` parameters of a function are not the config's, nor are those by keyword; of
    `*sides` there are as many as are given, "sides1", "sides2", ...
    Raises `UserError` for an unknown name, and for arguments that are no numbers of the right kind.
    """
    match = re.fullmatch(r"\s*(\w+)\s*(?:\((.*)\))?\s*", str(text))
    name, words = match.groups() if match else (text, None)
    if name not in functions:
        raise unknown(key, name, sorted(functions))
    parameters = [*inspect.signature(functions[name]).parameters.values()][leading:]
    parameters = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
    shown = ", ".join(str(p).replace("'", "") for p in parameters)
    try:
        values = ast.literal_eval(f"({words},)") if words and words.strip() else ()
        if parameters and parameters[-1].kind is inspect.Parameter.VAR_POSITIONAL:
            *parameters, rest = parameters
            parameters += [
                rest.replace(name=f"{rest.name}{i + 1}", kind=rest.POSITIONAL_ONLY)
                for i in range(len(values) - len(parameters))
            ]
        if len(values) > len(parameters):
            raise ValueError
        for parameter, value in zip(parameters, values, strict=False):
            kinds = (int,) if parameter.annotation == "int" else (int, float)
            if type(value) not in kinds or value < 0 or not math.isfinite(value):
                raise ValueError
    except (SyntaxError, TypeError, ValueError) as error:
        raise UserError(
            f"{key}={text!r}: arguments must be plain numbers, none negative: {name}({shown})"
        ) from error
    values = (*values, *(p.default for p in parameters[len(values) :]))
    return TransformSpec(name, {p.name: v for p, v in zip(parameters, values, strict=True)})
