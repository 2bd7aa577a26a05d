"""The log, TensorBoard's events and the terminal."""

import json
import os
import pty
import re
import struct

import pytest
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import masked_crc32c

from cnn_jax.runtime.metric_writers import Console, Writers


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def events(folder):
    """The events of all files by TensorBoard's rules, check sums included."""
    found = []
    for path in sorted((folder / "tensorboard").iterdir()):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            (first,) = struct.unpack("<I", data[8:12])
            event, data = data[12 : 12 + length], data[: 16 + length] and data[12 + length :]
            assert first == masked_crc32c(struct.pack("<Q", length))
            assert struct.unpack("<I", data[:4])[0] == masked_crc32c(event)
            data = data[4:]
            event = Event.FromString(event)
            if event.session_log.status:  # what came before from this step on is hidden
                found = [old for old in found if old[0] < event.step]
            found += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
    return found


def test_what_was_written_after_a_return_is_taken_back(tmp_path):
    writers = Writers(tmp_path, total_steps=10)
    writers.row({"step": 1, "train/loss": 0.5})
    kept = writers.sync()
    writers.row({"step": 2, "train/loss": 0.25})
    writers.go_back(1, kept)
    writers.row({"step": 2, "train/loss": 0.125})
    writers.close()
    assert rows(tmp_path) == [
        {"step": 1, "train/loss": 0.5},
        {"step": 2, "train/loss": 0.125},
    ]
    assert events(tmp_path) == [(1, "train/loss", 0.5), (2, "train/loss", 0.125)]


def test_rows_and_events(tmp_path):
    writers = Writers(tmp_path, total_steps=10)
    writers.row({"step": 1, "epoch": 0.1, "train/loss": 0.5})
    writers.scalars(1, {"images_per_second": 100.0})
    writers.close()
    assert rows(tmp_path) == [{"step": 1, "epoch": 0.1, "train/loss": 0.5}]
    assert events(tmp_path) == [(1, "train/loss", 0.5), (1, "images_per_second", 100.0)]


def test_rows_after_the_checkpoint_are_written_again(tmp_path):
    """A resumed run leaves the bytes and the curves of an uninterrupted one."""
    writers = Writers(tmp_path, total_steps=10)
    for step in (1, 2):
        writers.row({"step": step, "loss": float(step)})
    size = writers.sync()
    writers.row({"step": 3, "loss": 30.0})
    writers.close()
    with open(tmp_path / "metrics.jsonl", "a") as log:
        log.write('{"step": 4, "lo')  # killed in the middle of a row
    writers = Writers(tmp_path, total_steps=10, step=2, resume_at=size)
    for step in (3, 4):
        writers.row({"step": step, "loss": float(step)})
    writers.close()
    assert rows(tmp_path) == [{"step": step, "loss": float(step)} for step in (1, 2, 3, 4)]
    assert events(tmp_path) == [(step, "loss", float(step)) for step in (1, 2, 3, 4)]


def test_lost_rows_are_said(tmp_path, capsys):
    Writers(tmp_path, total_steps=10, step=2, resume_at=100).close()
    assert "metrics.jsonl has lost its rows after byte 0 of 100" in capsys.readouterr().out


@pytest.fixture
def terminal(monkeypatch):
    """A pseudo-terminal of 80 columns: (the file to write to, a function that reads the text)."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    leader, follower = pty.openpty()
    with open(follower, "w") as out, open(leader, "rb", buffering=0) as screen:

        def text():
            out.flush()
            os.set_blocking(leader, False)
            data = b""
            while chunk := screen.read(65536):
                data += chunk
            return re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", data).decode()

        yield out, text


def test_terminal_has_one_bar_below_the_lines(terminal):
    out, text = terminal
    console = Console(total_steps=40, step=0, out=out)
    with console.progress(0.0):
        assert "compiling" in text()
        console.advance(1, 0.1)
        console.restart_clock()
        console.advance(20, 2.0)
        console.figures("loss 0.5000 acc 0.9000 1,000 images/s")
        console.say("epoch  2.00 | train loss 0.5000")
    shown = [line for line in re.split(r"[\r\n]+", text()) if line.strip()]
    assert "epoch  2.00 | train loss 0.5000" in shown
    assert re.fullmatch(r"epoch 2.0 \S+ 20/40 loss 0.5000 acc 0.9000 1,000 images/s .*", shown[-1])
    assert len(shown[-1]) == 80
    console.say("done")
    assert text().strip() == "done"


def test_no_bar_when_nothing_is_left_to_do(terminal):
    out, text = terminal
    console = Console(total_steps=40, step=40, out=out)
    with console.progress(2.0):
        console.say("line")
    assert text().strip() == "line"


def test_plain_lines_without_a_terminal(tmp_path):
    with open(tmp_path / "out", "w") as out:
        console = Console(total_steps=40, step=0, out=out)
        with console.progress(0.0):
            console.advance(1, 0.1)
            console.figures("loss 0.5")
            console.say("line")
    assert (tmp_path / "out").read_text() == "line\n"


def test_speed_is_that_of_this_process(tmp_path, monkeypatch):
    """Steps made before it started, and the time of the first one, do not count."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with open(tmp_path / "out", "w") as out:
        console = Console(total_steps=400, step=300, out=out)
        now[0] = 160.0  # compiling
        console.advance(301, 3.0)
        console.restart_clock()
        now[0] = 162.0
        console.advance(321, 3.2)
    assert console.steps_per_second() == 10.0


def test_the_speed_is_the_recent_one(tmp_path, monkeypatch):
    """Ten steps a second for a minute, then one: after half a minute more nothing else is seen."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with open(tmp_path / "out", "w") as out:
        console = Console(total_steps=1000, step=0, out=out)
        for step in range(1, 601):
            now[0] = step / 10
            console.advance(step, 0.0)
        assert console.steps_per_second() == pytest.approx(10)
        for step in range(601, 632):
            now[0] += 1
            console.advance(step, 0.0)
        assert console.steps_per_second() == pytest.approx(1)
        assert len(console.marks) < 40
