"""The harness finds nothing in what stands, and everything in what does not."""

import pytest

from cnn_jax.errors import UserError
from cnn_jax.runtime import checkpoints
from cnn_jax.training import compiled_steps
from tests.faults.harness import run_rounds


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
