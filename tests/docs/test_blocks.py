"""What the pages tell a reader to type is typed: bash and Python blocks, page by page, in order.

The commands stand on the page as they are; `small_command`, first on the PATH, makes each run a
tiny one on data that needs no download. Blocks that are not to be run are `console`.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import folders
from tests.support.commands import ROOT

BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")),
         *sorted((ROOT / "docs/guide").glob("*.md"))]  # fmt: skip
BLOCKS = {path: BLOCK.findall(path.read_text()) for path in PAGES}


def small_command(words):
    """A command's words as the tests run it: digits for MNIST, a tenth of an epoch."""
    words = [re.sub(r"(--config=\w+):mnist\b", r"\1:digits", word) for word in words]
    has_config = any(word.startswith("--config=") for word in words)
    return [*words, *["--config.epochs=0.1"] * has_config]


def test_small_command():
    words = ["train", "--config=lenet5:mnist", "--workdir=runs/mnist"]
    small = ["train", "--config=lenet5:digits", "--workdir=runs/mnist", "--config.epochs=0.1"]
    assert small_command(words) == small
    assert small_command(["summarize", "resnet50"]) == ["summarize", "resnet50"]


def test_the_pages_have_blocks():
    assert sum(map(len, BLOCKS.values())) > 10


@pytest.fixture
def place(tmp_path):
    """A folder with photographs, and `cnn_jax` and `python` first on the path."""
    folders.make(tmp_path / "PHOTOS", {"cats": 40, "dogs": 40})
    (tmp_path / "bin").mkdir()
    for name, body in {
        "cnn_jax": f'exec {sys.executable} {Path(__file__).resolve()} "$@"',
        "python": f'exec {sys.executable} "$@"',
    }.items():
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", [path for path, blocks in BLOCKS.items() if blocks], ids=lambda path: path.stem
)
def test_blocks_run(path, place):
    variables = {
        **os.environ,
        "PATH": f"{place / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
    }
    for language, text in BLOCKS[path]:
        lines = [line for line in text.splitlines() if not line.startswith("pip install")]
        start = ["bash", "-euo", "pipefail"] if language == "bash" else [sys.executable]
        done = subprocess.run(
            [*start, "-c", "\n".join(lines)],
            cwd=place, env=variables, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{text}\n{done.stderr}"


if __name__ == "__main__":  # as the `cnn_jax` of a block
    from cnn_jax import __main__ as command

    sys.argv[1:] = small_command(sys.argv[1:])
    command.main()
