"""What the pages tell a reader to type is typed: bash and Python blocks, page by page, in order.

A command runs as it stands on the page, but tiny: on digits where it says MNIST, and for a tenth of
an epoch. Blocks that are not to be run are `console`; lines that install are the CI's.
"""

import re
import shlex

import pytest

from tests.support import commands, folders
from tests.support.commands import ROOT

BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs/guide").glob("*.md")),
]
BLOCKS = {path: BLOCK.findall(path.read_text()) for path in PAGES}
DEVICES = "export XLA_FLAGS=--xla_force_host_platform_device_count="


def small_command(words):
    """A command's words as the tests run it."""
    words = [re.sub(r"(--config=\w+):mnist\b", r"\1:digits", word) for word in words]
    has_config = any(word.startswith("--config=") for word in words)
    return [*words, *["--config.epochs=0.1"] * has_config]


def lines_of(text):
    """The lines of a bash block, continued ones as one, without those that install."""
    lines = text.replace("\\\n", " ").splitlines()
    return [line for line in lines if line and not line.startswith("pip install")]


def run_block(language, text, place, number):
    """Runs a block in the folder `place`; yields every process with what it was."""
    if language == "python":
        path = place / f"block_{number}.py"
        path.write_text(text)
        yield text, commands.start(program=str(path), cwd=place)
        return
    devices = 1
    for line in lines_of(text):
        if line.startswith(DEVICES):
            devices = int(line.removeprefix(DEVICES))
            continue
        name, *words = shlex.split(line, comments=True)
        assert name == "cnn_jax", f"a bash block holds commands of cnn_jax alone, no {line!r}"
        words = small_command(words)
        yield line, commands.start(*words, program="cnn_jax", devices=devices, cwd=place)


def test_small_command():
    words = ["train", "--config=lenet5:mnist", "--workdir=runs/mnist"]
    small = ["train", "--config=lenet5:digits", "--workdir=runs/mnist", "--config.epochs=0.1"]
    assert small_command(words) == small
    assert small_command(["summarize", "resnet50"]) == ["summarize", "resnet50"]


def test_the_pages_have_blocks():
    assert sum(map(len, BLOCKS.values())) > 10


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", [path for path, blocks in BLOCKS.items() if blocks], ids=lambda path: path.stem
)
def test_blocks_run(path, tmp_path):
    folders.make(tmp_path / "PHOTOS", {"cats": 40, "dogs": 40})
    for number, (language, text) in enumerate(BLOCKS[path]):
        for line, process in run_block(language, text, tmp_path, number):
            assert process.wait() == 0, f"{line}\n{process.err}"
