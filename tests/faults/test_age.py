"""What grows with the age of a run is found; what does not is not."""

import sys

import pytest

from cnn_jax.runtime.checkpoints import Checkpoints
from tests.faults import soak
from tests.faults.soak import Soak, check
from tests.support import commands

FLAT = [(step, 500 + step / 2000, 9, 30, 16) for step in range(0, 10_001, 250)]


def test_a_run_that_does_not_grow():
    assert check(FLAT).startswith("10000 steps: +0.50 MB a thousand steps")


@pytest.mark.parametrize(
    ("column", "rate", "words"),
    [
        (1, 1 / 900, "memory"),
        (2, 1 / 999, "open files"),
        (3, 1 / 3000, "threads"),
        (4, 1 / 3000, "programs"),
    ],
)
def test_what_grows_is_named(column, rate, words):
    rows = [[*row] for row in FLAT]
    for row in rows:
        row[column] += row[0] * rate if column == 1 else int(row[0] * rate)
    with pytest.raises(AssertionError, match=rf"^{words} grow"):
        check(rows)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_thousand_steps():
    words = ["--steps=1000", "--slope=10", f"--config={commands.CONFIG}"]  # caches still fill
    command = commands.start(*words, program="tests.faults.soak")
    assert command.wait() == 0, command.err
    assert "none new" in command.out


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_files_that_stay_open_are_found(tmp_path, monkeypatch):
    """Each save leaves one."""
    kept, own = [], Checkpoints.save

    def leaking(*arguments, **options):
        kept.append(open(__file__))  # noqa: SIM115
        return own(*arguments, **options)

    monkeypatch.setattr(Checkpoints, "save", leaking)
    monkeypatch.setattr(soak, "EVERY", 50)
    rows = Soak([f"--config={commands.CONFIG}"], 800).run(tmp_path)
    for file in kept:
        file.close()
    with pytest.raises(AssertionError, match=r"^open files grow"):
        check(rows, limit=10)
