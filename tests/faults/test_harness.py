"""The harness finds nothing in what stands, and everything in what does not."""

import pickle
import sys
from collections import Counter
from contextlib import nullcontext

import numpy as np
import pytest

from cnn_jax.data.images import lazy_images
from cnn_jax.data.images.decode import BadImageError, decode
from cnn_jax.data.loading.stream import ProcessShard
from cnn_jax.errors import UserError
from cnn_jax.inference import image_stream
from cnn_jax.runtime import checkpoints
from cnn_jax.training import compiled_steps
from tests.faults import audit, bad_images, hostile_files, order
from tests.faults.harness import Damages, run_rounds
from tests.support import commands

HARNESS = "tests.faults.harness"


def test_damages():
    assert run_rounds(["damage"], seed=1, rounds=20).total() == 20


def test_a_damage_that_is_not_looked_for_fails_with_its_round(monkeypatch):
    monkeypatch.setattr(checkpoints, "damage", lambda folder: None)
    with pytest.raises(AssertionError, match=r"--seed=1 --first=0 --rounds=1: damage: "):
        run_rounds(["damage"], seed=1, rounds=20)


@pytest.mark.slow
def test_passing_faults():
    assert run_rounds(["nonfinite"], seed=1, rounds=4).total() == 4


@pytest.mark.slow
def test_a_step_that_is_not_held_back_fails(monkeypatch):
    """Without the guard the run ends, or goes on with what is not finite."""
    monkeypatch.setattr(compiled_steps, "held_back", lambda step: step)
    with pytest.raises((AssertionError, UserError), match=r"not finite|found at"):
        run_rounds(["nonfinite"], seed=1, rounds=1)


@pytest.mark.slow
def test_a_few_rounds_of_everything():
    kinds = ["damage", "nonfinite", "signal", "kill"]
    assert run_rounds(kinds, seed=2, rounds=12).total() == 12


@pytest.mark.slow
def test_bad_images():
    """In a process of its own, whose memory is watched."""
    command = commands.start(*"--kinds=images --seed=1 --rounds=2".split(), program=HARNESS)
    assert command.wait() == 0, command.err
    assert "{'50 files': 2}" in command.out


@pytest.mark.slow
def test_an_image_that_is_replaced_fails(monkeypatch):
    def substituted(*arguments, **options):
        try:
            return decode(*arguments, **options)
        except BadImageError:
            return np.zeros((8, 8, 3), np.uint8)

    monkeypatch.setattr(lazy_images, "decode", substituted)
    monkeypatch.setattr(image_stream, "decode", substituted)
    monkeypatch.setattr(bad_images, "LIMIT", 1e9)
    with pytest.raises(AssertionError, match=r"--rounds=1: images: .* has a row, and is bad"):
        run_rounds(["images"], seed=1, rounds=1)


def test_a_run_of_rounds_goes_on_where_it_stopped(tmp_path, monkeypatch):
    verdicts = tmp_path / "verdicts.jsonl"
    first = run_rounds(["damage"], seed=1, rounds=3, verdicts=verdicts)
    assert len(verdicts.read_text().splitlines()) == 3
    monkeypatch.setattr(Damages, "round", lambda self, choose: "new")
    again = run_rounds(["damage"], seed=1, rounds=4, verdicts=verdicts)
    assert again == first + Counter(new=1)
    assert run_rounds(["damage"], seed=2, rounds=1, verdicts=verdicts) == Counter(new=1)


@pytest.mark.slow
def test_hostile_files():
    command = commands.start(*"--kinds=hostile --seed=1 --rounds=40".split(), program=HARNESS)
    assert command.wait() == 0, command.err


@pytest.mark.parametrize("harm", [pickle.dumps(hostile_files.Evil()), b""])
def test_what_runs_by_a_name_in_data_is_seen(harm, tmp_path, monkeypatch):
    """The watch itself: an import that a pickle asks for, and nothing for no pickle."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / f"{audit.EVIL}.py").touch()
    monkeypatch.delitem(sys.modules, audit.EVIL, raising=False)
    expected = pytest.raises(AssertionError, match=r"pickle\.find_class") if harm else nullcontext()
    with expected, audit.watched():
        if harm:
            pickle.loads(harm)
    sys.modules.pop(audit.EVIL, None)


def test_orders(monkeypatch):
    monkeypatch.setattr(order, "WITH_WORKERS", 0.0)
    assert run_rounds(["order"], seed=1, rounds=6).total() == 6


def test_an_order_that_depends_on_the_reader_fails(monkeypatch):
    """Of shards that do not know each other: every process reads the first part."""
    monkeypatch.setattr(order, "WITH_WORKERS", 0.0)
    monkeypatch.setattr(ProcessShard, "take", lambda self, rows: rows[: len(rows) // self.count])
    with pytest.raises(AssertionError, match=r"order: .* another order, or other crops"):
        run_rounds(["order"], seed=1, rounds=6)
