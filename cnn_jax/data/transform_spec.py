"""Functions that a config names with their numbers: `"scale_jitter(256, 480)"`."""

from __future__ import annotations

import ast
import inspect
import math
import re
from collections.abc import Callable, Mapping

from cnn_jax.errors import UserError, unknown


def parse_spec(
    key: str, call: str, functions: Mapping[str, Callable], given: int
) -> tuple[str, tuple[float, ...]]:
    """(name, its numbers, defaults filled in); the first `given` parameters are not the config's,
    nor are those by keyword.

    Raises `UserError` for an unknown name, and for arguments that are no numbers of the right kind.
    """
    match = re.fullmatch(r"\s*(\w+)\s*(?:\((.*)\))?\s*", str(call))
    name, words = match.groups() if match else (call, None)
    if name not in functions:
        raise unknown(key, name, sorted(functions))
    parameters = [*inspect.signature(functions[name]).parameters.values()][given:]
    parameters = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
    try:
        values = ast.literal_eval(f"({words},)") if words and words.strip() else ()
        if len(values) > len(parameters):
            raise ValueError
        for parameter, value in zip(parameters, values, strict=False):
            kinds = (int,) if parameter.annotation == "int" else (int, float)
            if type(value) not in kinds or value < 0 or not math.isfinite(value):
                raise ValueError
    except (SyntaxError, TypeError, ValueError) as error:
        wanted = ", ".join(str(p).replace("'", "") for p in parameters)
        raise UserError(
            f"{key}={call!r}: arguments must be plain numbers, none negative: {name}({wanted})"
        ) from error
    return name, (*values, *(p.default for p in parameters[len(values) :]))
