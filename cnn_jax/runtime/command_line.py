"""How this process was started, in words that can be typed again."""

from __future__ import annotations

import sys


def words_of_command() -> list[str]:
    """`cnn_jax train ...` or `python -m NAME ...`; of a script its file and what follows it."""
    main = sys.modules["__main__"]
    if command := getattr(main, "COMMAND", ""):  # by `cnn_jax train`
        return [*command.split(), *sys.argv[1:]]
    if spec := getattr(main, "__spec__", None):
        return ["python", "-m", spec.name.removesuffix(".__main__"), *sys.argv[1:]]
    return ["python", *sys.argv]
