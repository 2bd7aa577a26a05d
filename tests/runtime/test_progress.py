"""Progress is shown on stderr alone: a bar on a terminal, a line now and then elsewhere."""

import io
import re

import pytest

from cnn_jax.runtime import progress
from cnn_jax.runtime.progress import DownloadBar, ProgressBar, clock_time, track


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_now_and_then_with_the_time_left(clock, capsys):
    worked = []
    for item in track(range(8), "nets"):
        worked.append(item)
        clock[0] += 12
    assert worked == list(range(8))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "nets: 38%, 0:36 passed, 1:00 left",
        "nets: 75%, 1:12 passed, 0:24 left",
    ]


def test_what_is_done_soon_says_nothing(clock, capsys):
    for _ in track(iter("ab"), "quick", 2):
        clock[0] += 1
    assert capsys.readouterr() == ("", "")


def test_a_bar_goes_on_while_those_within_are_hidden(clock, capsys):
    with ProgressBar("runs", 2) as runs, progress.hidden():
        for step in range(1, 5):
            clock[0] += 20
            with ProgressBar("images", 1) as images:
                clock[0] += 40
                images.advance()
            runs.reach(step / 4)
    lines = ["12%, 1:00 passed, 7:00", "25%, 2:00 passed, 6:00", "38%, 3:00 passed, 5:00"]
    lines += ["50%, 4:00 passed, 4:00"]
    assert capsys.readouterr().err.splitlines() == [f"runs: {line} left" for line in lines]


def test_an_unknown_total_shows_the_time(clock, capsys):
    with ProgressBar("converting") as bar:
        clock[0] += 3725
        bar.advance(description="checking")
    assert capsys.readouterr().err == "checking: 1:02:05\n"
    assert clock_time(59.6) == "1:00"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_bars_on_a_terminal_lie_within_each_other_and_go_away(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    terminal = Terminal()
    monkeypatch.setattr(progress.sys, "stderr", terminal)
    for _ in track(range(2), "stages"):
        with ProgressBar("images", 4) as bar:
            bar.reach(3, "test images")
            ProgressBar.display.refresh()
    assert ProgressBar.display is None
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    assert re.search(r"stages .* 50%", shown)
    assert re.search(r"test images .* 75%", shown)
    assert "left" in shown
    *_, last = terminal.getvalue().split("left")
    assert last.count("\x1b[2K") == 2  # both lines are cleared
    assert capsys.readouterr().out == ""


def test_a_download_speaks_pooch_s_way(clock, capsys):
    with DownloadBar("mnist.gz") as bar:
        bar.total = 4000
        clock[0] += 31
        bar.update(1000)
        bar.reset()
        bar.update(4000)
        bar.close()
    assert bar.completed == 4000
    assert capsys.readouterr().err == "mnist.gz: 25%, 0:31 passed, 1:33 left\n"
