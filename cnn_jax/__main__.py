"""The command `cnn_jax`, also `python -m cnn_jax`: it lists what there is, and runs one of them."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import cnn_jax
from cnn_jax import cli
from cnn_jax.errors import unknown
from cnn_jax.runtime.command_help import columns, first_line

TOOLS = Path(__file__).parent / "tools"
# Modes of cnn_jax.main, and the words that choose them.
MODES = {
    "train": ([], "Trains the net of a config; goes on where a run was stopped."),
    "evaluate": (["--mode=evaluate"], "Reports on the test split by a run's best checkpoint."),
}
EXAMPLES = """\
  cnn_jax train --config=lenet5 --workdir=runs/lenet5
  cnn_jax train --config=resnet18:folder:PHOTOS --config.data.image_size=64
  cnn_jax summarize resnet50"""


def tools() -> dict[str, str]:
    """Every tool with what its docstring says first, up to a colon."""
    files = sorted(path for path in TOOLS.glob("*.py") if not path.stem.startswith("_"))
    return {path.stem: re.split("[:;.] |[:;.]$", first_line(path))[0] + "." for path in files}


def commands() -> dict[str, str]:
    """Every command with what it does."""
    return {**{name: text for name, (_, text) in MODES.items()}, **tools()}


def help_text() -> str:
    """What `cnn_jax --help` prints."""
    return "\n\n".join(
        [
            f"cnn_jax {cnn_jax.__version__}: {cnn_jax.__doc__}",
            "cnn_jax COMMAND [--FLAG=VALUE ...]; cnn_jax COMMAND --help says more.",
            columns(commands()),
            f"Examples:\n{EXAMPLES}",
        ]
    )


def main() -> None:
    """Runs the command that the first word names, with the words after it."""
    command, *words = sys.argv[1:] or ["--help"]
    if command in cli.HELP or command == "help":
        cli.show(help_text())
        return
    if command == "--version":
        cli.show(cnn_jax.__version__)
        return
    if command not in commands():
        cli.fail(str(unknown("command", command, commands())))
    first, _ = MODES.get(command, ([], ""))
    module = "cnn_jax.main" if command in MODES else f"cnn_jax.tools.{command}"
    sys.argv = [command, *first, *words]
    names = {"COMMAND": f"cnn_jax {command}"}  # how the command names itself
    runpy.run_module(module, init_globals=names, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
