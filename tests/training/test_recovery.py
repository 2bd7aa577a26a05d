"""Steps that are not finite: made again, told apart, skipped or taken back."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import data, train
from cnn_jax.errors import UserError
from cnn_jax.runtime.checkpoints import Checkpoints
from cnn_jax.training import recovery
from cnn_jax.training.experiment import make_experiment
from cnn_jax.training.recovery import Recovery, Verdict, with_rate
from cnn_jax.training.train_step import rate_of
from tests.support.nonfinite_faults import NonFiniteFaults
from tests.support.tiny_config import get_config


@pytest.fixture
def faults(monkeypatch):
    return NonFiniteFaults(monkeypatch)


@pytest.fixture(autouse=True)
def no_report(monkeypatch):
    monkeypatch.setattr(train, "finish", lambda training: {})


def config_of(on_nan, **keys):
    """Eleven steps, saved after the fourth, the eighth and the last."""
    config = get_config()
    config.epochs, config.eval_every_epochs, config.devices = 0.5, 10.0, 1
    config.schedule.name, config.on_nan = "constant", on_nan
    config.update(keys)
    return config


def outcome(folder):
    """What a run left: its last state, its rows, and the verdicts."""
    checkpoints = Checkpoints(folder)
    restored = checkpoints.read(checkpoints.latest_valid())
    path = Path(folder) / "faults.jsonl"
    verdicts = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return restored, (Path(folder) / "metrics.jsonl").read_bytes(), verdicts


def assert_same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one.tree, other.tree)


@pytest.mark.parametrize("parallel", ["jit", pytest.param("pmap", marks=pytest.mark.slow)])
def test_the_key_changes_no_bit_of_a_run_without_faults(tmp_path, parallel):
    """And is free: a run goes on with another value."""
    for on_nan in ("stop", "rollback"):
        config = config_of(on_nan, parallel=parallel, devices=1 if parallel == "jit" else 4)
        train.train_and_evaluate(config, tmp_path / on_nan)
    stop, other = outcome(tmp_path / "stop"), outcome(tmp_path / "rollback")
    assert_same(stop[0], other[0])
    assert stop[1:] == other[1:]
    assert other[2] == []
    train.train_and_evaluate(config, tmp_path / "stop")


@pytest.mark.heavy
def test_passing_faults_leave_no_trace(tmp_path, faults, capsys):
    """Of every kind, in every place of the window between two looks at the state."""
    train.train_and_evaluate(config_of("skip"), tmp_path / "clean")
    # A step that waits for the look is tried, and held, once for every one that follows it.
    faults.planned = {2: ("loss", 1), 4: ("gradient", 2), 5: ("statistics", 1), 6: ("average", 4)}
    train.train_and_evaluate(config_of("skip"), tmp_path / "run")
    clean, run = outcome(tmp_path / "clean"), outcome(tmp_path / "run")
    assert_same(clean[0], run[0])
    assert clean[1] == run[1]
    replays = {2: 1, 4: 2, 5: 1, 6: 2}
    assert run[2] == [{"step": s, "fault": "passing", "replays": n} for s, n in replays.items()]
    assert "step 2 was not finite and is, made again (time 1): a passing" in capsys.readouterr().out


@pytest.mark.heavy
def test_lasting_fault_is_skipped_and_its_example_named(tmp_path, monkeypatch, capsys):
    """A label that is no number. The state is that before the step; rates and batches go on."""
    config = config_of("skip", log_every_steps=1)
    config.data.name, config.model.num_classes = "digits_angle", 1
    config.loss.name, config.model.norm = "mean_squared", "none"
    load, steps = data.load, {}

    def with_bad_label(*arguments):
        dataset = load(*arguments)
        labels = dataset.train.labels.copy()
        labels[300] = np.nan
        split = dataclasses.replace(dataset.train, labels=labels)
        return dataclasses.replace(dataset, train=split)

    monkeypatch.setattr(data, "load", with_bad_label)
    monkeypatch.setattr(train.Training, "evaluate", lambda *_: None)
    config.epochs = 1.0
    experiment = make_experiment(config, folder=tmp_path)
    training = train.Training(experiment, tmp_path)
    for step in training:
        steps[step] = jax.device_get(training.steps.carry.state)
    training.close()
    (verdict,) = outcome(tmp_path)[2]
    bad = verdict["step"]
    assert verdict["what"] == "the loss"
    assert verdict["ids"] == [int(experiment.dataset.train.ids[300])]
    assert not verdict["whole_batch"]
    assert f"(example ids: {verdict['ids'][0]}); it is skipped" in capsys.readouterr().out
    assert steps[bad].step == steps[bad - 1].step + 1 == bad
    jax.tree.map(np.testing.assert_array_equal, steps[bad].params, steps[bad - 1].params)
    changes = jax.tree.map(lambda a, b: int((a != b).sum()), steps[bad - 1], steps[bad])
    counts = [n for n in jax.tree.leaves(changes) if n]
    assert counts == [1, 1]  # of the step, and of the schedule
    assert max(steps) == 21
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(steps[21].numbers))


@pytest.mark.slow
def test_a_run_goes_back_with_a_lower_rate(tmp_path, faults, capsys):
    """Held twice, tried twice, examined: then it does not come again."""
    faults.planned, faults.examined_step = {7: ("statistics", 5)}, 7
    config = config_of("rollback")
    train.train_and_evaluate(config, tmp_path)
    assert "going back to step 4, with 0.5 of the rate" in capsys.readouterr().out
    run, rows, (verdict,) = outcome(tmp_path)
    assert verdict["what"].startswith("the statistic ")
    assert len(verdict["ids"]) == 64
    assert run.meta["progress"]["rate_factor"] == 0.5
    found = [json.loads(row) for row in rows.splitlines()]
    assert [row["step"] for row in found] == [5, 10, 11, 11]
    assert {row["learning_rate"] for row in found} == {0.0005}
    config.on_nan = "stop"
    with pytest.raises(UserError, match=r"went back to 0.5 of its rate: go on with --config.on_n"):
        train.train_and_evaluate(config, tmp_path)


def test_the_second_return_is_to_a_quarter_of_the_rate(monkeypatch):
    """Whatever factor the checkpoint had: it was made before the returns."""
    said = []
    monkeypatch.setattr(train, "with_rate", lambda experiment, carry, factor: (carry, factor))
    monkeypatch.setattr(train, "FlowRecorder", lambda experiment, folder, step: step)
    nothing = lambda *_: None  # noqa: E731
    restored = SimpleNamespace(rate_factor=1.0, step=4, rows_bytes=99)
    training = SimpleNamespace(
        experiment=SimpleNamespace(config=SimpleNamespace(on_nan_factor=0.5)),
        progress=SimpleNamespace(rate_factor=0.5, step=7),
        recovery=SimpleNamespace(check_return=nothing),
        checkpoints=SimpleNamespace(wait=nothing),
        writers=SimpleNamespace(go_back=lambda *place: said.append(place), say=said.append),
        steps=SimpleNamespace(),
        folder=None,
        learning_rate=nothing,
        restore=lambda: (restored, "carry"),
    )
    train.Training.go_back(training, "a fault")
    assert (training.progress.rate_factor, training.steps.step, training.flow) == (0.25, 4, 4)
    assert training.steps.carry == ("carry", 0.25)
    assert said == [(4, 99), "warning: a fault; going back to step 4, with 0.25 of the rate"]


def test_rate_factor_is_of_the_whole_update(tiny):
    """sgd moves half as far at half the rate, to the bit."""
    tiny.optimizer.name, tiny.optimizer.learning_rate, tiny.on_nan = "sgd", 0.5, "rollback"
    experiment = make_experiment(tiny, folder=Path("unused"))
    moved = []
    for factor in (1.0, 0.5):
        first = with_rate(experiment, experiment.compiled.init(), factor)
        start = jax.device_get(first.state.params)
        with experiment.step_loop(first, last_step=1) as steps:
            next(steps)
        end = jax.device_get(steps.carry.state.params)
        moved.append(end["hidden1"]["kernel"] - start["hidden1"]["kernel"])
    np.testing.assert_allclose(moved[0], 2 * moved[1], rtol=0, atol=1e-7)
    assert np.abs(moved[0]).max() > 1e-3


def test_the_factors_of_plateau_and_return_multiply():
    plateau, factor = SimpleNamespace(scale=jnp.float32(0.25)), jnp.float32(0.5)
    found = [
        rate_of(SimpleNamespace(lr_plateau_state=p, rate_factor=f))
        for p in (None, plateau)
        for f in (None, factor)
    ]
    assert found == [None, 0.5, 0.25, 0.125]


FINE = [True] * 4


@pytest.mark.parametrize(
    ("loss", "alone", "kernel", "mean", "what", "ids"),
    [
        (FINE, FINE, True, True, "the update", [3, 5, 7, 9]),
        (FINE, [True, False, True, False], False, True, "the gradient of c1/kernel", [3, 7]),
        ([False] * 4, [True, True, False, True], False, False, "the loss", [5]),  # by BatchNorm
        ([False, True, True, True], FINE, False, True, "the loss", [9]),
        (FINE, FINE, True, False, "the statistic norm1/mean", [3, 5, 7, 9]),
        ([False] * 4, [False] * 4, True, True, "the loss", [3, 5, 7, 9]),
    ],
)
def test_whom_an_examination_blames(tmp_path, monkeypatch, loss, alone, kernel, mean, what, ids):
    """Examples that are not finite by themselves; else those whose loss is not, unless all are."""
    found = {"id": np.array([9, 3, 5, 7]), "loss": np.array(loss), "alone": np.array(alone),
             "gradient": {"c1": {"kernel": np.bool_(kernel)}},
             "statistics": {"norm1": {"mean": np.bool_(mean)}}}  # fmt: skip
    monkeypatch.setattr(recovery, "make_examination", lambda *_: lambda *_: found)
    experiment = SimpleNamespace(
        step_spec=SimpleNamespace(on_nan="skip", plan=SimpleNamespace(phases=[None])),
        compiled=SimpleNamespace(phase_at=lambda step: 0),
        config=SimpleNamespace(batch_size=4),
        devices=None,
    )
    loader = SimpleNamespace(batch_at=lambda step: None)
    loop = SimpleNamespace(step=6, carry=SimpleNamespace(state=None), loader=loader)
    verdict = Recovery(experiment, tmp_path, print).examine(loop)
    assert verdict == Verdict(7, what, ids, len(ids) == 4)


def test_neither_skips_nor_returns_go_on_for_ever(tmp_path):
    spec = SimpleNamespace(on_nan="rollback")
    own = Recovery(SimpleNamespace(step_spec=spec), tmp_path, print)
    verdict = lambda step: Verdict(step, "the loss", [3, 5], False)  # noqa: E731
    for step in (7, 9, 9, 8):  # past 7, the count begins anew
        own.check_return(verdict(step), 0.1)
    with pytest.raises(UserError, match=r"went back 3 times, to a rate of 0.01: leave those"):
        own.check_return(verdict(9), 0.01)
    own.skipped = [*range(1, 10)]
    with pytest.raises(UserError, match=r"\(example ids: 3, 5\); on_nan='skip' has left out 10 s"):
        own.skip(None, verdict(10))
