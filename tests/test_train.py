"""Whole runs in a folder: resume to the same bits, early stop, best and latest, the report."""

import hashlib
import json
import signal

import jax
import numpy as np
import pytest

from cnn_jax import train
from cnn_jax.errors import UserError
from cnn_jax.runtime import progress
from cnn_jax.runtime.checkpoints import Checkpoints
from cnn_jax.runtime.preemption import Interrupted
from cnn_jax.training import evaluation
from cnn_jax.training.dry_run import dry_run
from cnn_jax.training.evaluator import Evaluator
from cnn_jax.training.experiment import make_experiment


class Killed(BaseException):
    """Ends a run without any of its cleaning up."""


def fingerprint(config, folder):
    """What must be the same: the last checkpoint's bits, the log and the report."""
    checkpoints = Checkpoints(folder)
    step = checkpoints.latest_valid()
    restored = checkpoints.restore(step, make_experiment(config).compiled.abstract.as_saved())
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(restored.tree):
        digest.update(np.asarray(leaf).tobytes())
    log = (folder / "metrics.jsonl").read_bytes()
    return step, digest.hexdigest(), log, (folder / "report.json").read_bytes()


def kill_at(monkeypatch, step):
    """The next run ends without a word after `step`, at its last finished checkpoint."""
    original = train.Training.after_step

    def after_step(self, evaluator):
        original(self, evaluator)
        if self.progress.step == step:
            self.checkpoints.wait()
            raise Killed

    monkeypatch.setattr(train.Training, "after_step", after_step)


@pytest.mark.parametrize(
    ("parallel", "kills"),
    [
        ("jit", (5, 6)),
        ("pmap", (9,)),
        pytest.param("jit", (1, 2, 3, 4, 7, 8, 9, 10), marks=pytest.mark.slow),
        pytest.param("pmap", (1, 2, 5, 6), marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_goes_on_to_the_same_bits(tiny, tmp_path, monkeypatch, parallel, kills):
    """Killed again and again, off and on the borders of epochs, log windows and checkpoints."""
    tiny.devices, tiny.parallel, tiny.checkpoint.every_steps = 2, parallel, 2
    tiny.average_decay = 0.9
    tiny.augment = ("pad_and_crop(1)",)
    train.train_and_evaluate(tiny, tmp_path / "whole")
    for step in kills:
        with monkeypatch.context() as patch:
            kill_at(patch, step)
            with pytest.raises(Killed):
                train.train_and_evaluate(tiny, tmp_path / "killed")
    train.train_and_evaluate(tiny, tmp_path / "killed")
    assert fingerprint(tiny, tmp_path / "killed") == fingerprint(tiny, tmp_path / "whole")


@pytest.mark.slow
def test_the_seed_decides_everything(tiny, tmp_path):
    tiny.epochs = 0.5
    prints = []
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        tiny.seed = seed
        train.train_and_evaluate(tiny, tmp_path / folder)
        prints.append(fingerprint(tiny, tmp_path / folder))
    assert prints[0] == prints[1]
    assert prints[0][1] != prints[2][1]


@pytest.mark.heavy
def test_a_finished_run_reports_again_without_training(tiny, tmp_path, monkeypatch):
    first = train.train_and_evaluate(tiny, tmp_path)
    log = (tmp_path / "metrics.jsonl").read_bytes()
    monkeypatch.setattr(train.Training, "after_step", lambda *_: pytest.fail("trained"))
    assert train.train_and_evaluate(tiny, tmp_path) == first
    assert (tmp_path / "metrics.jsonl").read_bytes() == log
    assert evaluation.evaluate_only(tiny, tmp_path) == first


@pytest.mark.heavy
def test_rows_hold_both_curves_and_the_best_is_kept(tiny, tmp_path, monkeypatch):
    """The validation figures go up and down; best and the newest two checkpoints stay."""
    tiny.epochs, tiny.eval_every_epochs = 2.0, 0.25
    found = iter([0.1, 0.5, 0.4, 0.4, 0.5, 0.3, 0.2, 0.1])
    summarise = train.metrics.summarise

    def pretend(task, examples):
        return summarise(task, examples) | {"accuracy": next(found, 0.9), "loss": 1.0}

    monkeypatch.setattr(train.metrics, "summarise", pretend)
    train.train_and_evaluate(tiny, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    rows = [row for row in rows if "validation/accuracy" in row]
    assert [row["validation/accuracy"] for row in rows] == [0.1, 0.5, 0.4, 0.4, 0.5, 0.3, 0.2, 0.1]
    assert all({"train/loss", "train/accuracy", "validation/loss"} <= set(row) for row in rows)
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.steps() == [rows[1]["step"], rows[-2]["step"], rows[-1]["step"]]


@pytest.mark.heavy
def test_early_stopping_waits_for_its_patience(tiny, tmp_path, monkeypatch):
    tiny.epochs, tiny.early_stopping_patience = 10.0, 2
    found = iter([0.5, 0.6, 0.6, 0.5])
    summarise = train.metrics.summarise

    def pretend(task, examples):
        return summarise(task, examples) | {"accuracy": next(found, 0.9), "loss": 1.0}

    monkeypatch.setattr(train.metrics, "summarise", pretend)
    train.train_and_evaluate(tiny, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert sum("validation/accuracy" in row for row in rows) == 4


@pytest.mark.heavy
def test_a_signal_saves_this_very_step(tiny, tmp_path, monkeypatch):
    original = train.Training.after_step

    def after_step(self, evaluator):
        original(self, evaluator)
        if self.progress.step == 4:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(train.Training, "after_step", after_step)
        with pytest.raises(Interrupted, match="SIGTERM at step 4"):
            train.train_and_evaluate(tiny, tmp_path / "stopped")
    assert Checkpoints(tmp_path / "stopped").steps() == [4]
    train.train_and_evaluate(tiny, tmp_path / "stopped")
    train.train_and_evaluate(tiny, tmp_path / "whole")
    assert fingerprint(tiny, tmp_path / "stopped") == fingerprint(tiny, tmp_path / "whole")


@pytest.mark.heavy
@pytest.mark.parametrize("evaluation", [1, 2])
def test_a_signal_ends_an_evaluation_which_the_resume_makes(
    tiny, tmp_path, monkeypatch, evaluation
):
    """The same bits, also where it is the last one, and a second signal comes at once."""
    tiny.eval_batch_size = 16
    tiny.schedule.name, tiny.schedule.patience, tiny.schedule.gamma = "plateau", 1, 0.5
    train.train_and_evaluate(tiny, tmp_path / "whole")
    steps = [int(p.name) for p in sorted((tmp_path / "whole" / "checkpoints").glob("*"))]
    original, calls = Evaluator.__call__, []

    def evaluate(self, state, after_batch=lambda: None):
        calls.append(state)
        seen = []

        def after():
            seen.append(1)
            if len(calls) >= evaluation and len(seen) == 3:
                signal.raise_signal(signal.SIGTERM)
            after_batch()

        assert len(self.split) > 4 * 16
        result = original(self, state, after)
        assert len(calls) < evaluation, "it went on to its end"
        return result

    with monkeypatch.context() as patch:
        patch.setattr(Evaluator, "__call__", evaluate)
        for _ in range(2):
            with pytest.raises(Interrupted, match=f"SIGTERM at step {steps[evaluation - 1]}"):
                train.train_and_evaluate(tiny, tmp_path / "stopped")
    assert Checkpoints(tmp_path / "stopped").steps() == steps[:evaluation]
    train.train_and_evaluate(tiny, tmp_path / "stopped")
    assert fingerprint(tiny, tmp_path / "stopped") == fingerprint(tiny, tmp_path / "whole")
    kept, whole = (Checkpoints(tmp_path / name) for name in ("stopped", "whole"))
    assert kept.read_meta(steps[-1]) == whole.read_meta(steps[-1])


@pytest.mark.heavy
def test_another_config_in_the_workdir_names_the_keys_that_differ(tiny, tmp_path):
    tiny.epochs = 0.3
    train.train_and_evaluate(tiny, tmp_path)
    tiny.optimizer.learning_rate = 0.5
    tiny.data.dir = "elsewhere"  # where data lies is no part of what it is
    message = r"keys that differ: optimizer.learning_rate \(0.001 there, 0.5 here\); choose"
    with pytest.raises(UserError, match=message):
        train.train_and_evaluate(tiny, tmp_path)


@pytest.mark.slow
def test_regression_learns_the_angle(tiny, tmp_path):
    from configs.base import base

    config = base("angle", "digits_angle", image_size=32)
    config.model.update(tiny.model)
    config.model.num_classes = 1
    config.model.hidden = (64,)
    config.update({"epochs": 8.0, "batch_size": 64, "devices": 1})
    report = train.train_and_evaluate(config, tmp_path)
    assert report["unit"] == "degrees"
    assert report["mean_absolute_error"] < 12  # guessing the mean gives 22.5
    assert report["r2"] > 0.6


@pytest.mark.heavy
def test_dry_run_says_what_the_run_will_cost(tiny, capsys, monkeypatch):
    monkeypatch.setattr(progress, "LINE_SECONDS", -1.0)  # every part is said
    found = dry_run(tiny)
    assert found["parameters"] == 64 * 16 + 2 * 16 + 16 * 10 + 10
    assert found["steps"] == -(-2 * 1294 // 256)
    out, shown = capsys.readouterr()
    parts = ["compiling the step: 17%", "a step: 50%", "compiling the evaluation: 67%", "left"]
    assert [part for part in parts if part not in shown] == []
    assert "dry run passed" in out
    assert "the run will take about" in out
    tiny.epochs = 0.1
    assert dry_run(tiny)["steps"] == 1


@pytest.mark.heavy
def test_nothing_is_chosen_by_the_test_split(tiny, tmp_path, monkeypatch):
    """Without a validation split the last checkpoint counts, not the best on the test split."""
    tiny.data.validation, tiny.early_stopping_patience = 0.0, 1
    worse = iter(range(0, -9, -1))
    monkeypatch.setattr(train.metrics, "selection_metric", lambda *_: (next(worse), 0.0))
    train.train_and_evaluate(tiny, tmp_path)
    meta = (
        Checkpoints(tmp_path)
        .restore(
            Checkpoints(tmp_path).steps()[-1], make_experiment(tiny).compiled.abstract.as_saved()
        )
        .meta
    )
    assert meta["progress"]["best_step"] == meta["progress"]["step"] == meta["total_steps"]
    assert not meta["progress"]["stopped"]
