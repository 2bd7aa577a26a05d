"""A run goes on to more epochs when it is asked to, and says when it is done."""

import json

import numpy as np
import pytest

from cnn_jax.errors import UserError
from cnn_jax.runtime import workdir
from cnn_jax.runtime.checkpoints import Checkpoints
from cnn_jax.train import train_and_evaluate
from cnn_jax.training.evaluation import evaluate_only


def state_of(folder):
    checkpoints = Checkpoints(folder)
    return checkpoints.read(checkpoints.steps()[-1]).tree[0]


def flat(tree, prefix=""):
    if isinstance(tree, dict | list):
        items = tree.items() if isinstance(tree, dict) else enumerate(tree)
        return {k: v for key, x in items for k, v in flat(x, f"{prefix}/{key}").items()}
    return {prefix: tree}


@pytest.mark.heavy
def test_an_extended_run_has_the_bits_of_a_longer_one(tiny, tmp_path, capsys):
    """Where the schedule does not know the end, here exponential."""
    tiny.epochs = 2.0
    train_and_evaluate(tiny, tmp_path / "long")
    tiny.epochs = 1.0
    train_and_evaluate(tiny, tmp_path / "run")
    before = (tmp_path / "run/environment.json").read_bytes()
    (tmp_path / "run/environment.json").write_bytes(before + b" ")
    capsys.readouterr()
    train_and_evaluate(tiny, tmp_path / "run")
    said = capsys.readouterr().out
    assert f"finished in {tmp_path / 'run'}: 6 steps are done; it is reported again (more" in said
    assert "epochs: --config.epochs=N --extend; " in said
    assert "going on" not in said
    assert (tmp_path / "run/environment.json").read_bytes() == before + b" "

    tiny.epochs = 2.0
    with pytest.raises(
        UserError,
        match=r"differ: epochs \(1.0 there, 2.0 here\); choose another --workdir, or add --extend",
    ):
        train_and_evaluate(tiny, tmp_path / "run")
    train_and_evaluate(tiny, tmp_path / "run", extend=True)
    assert "going on from step 6 " in capsys.readouterr().out
    here, there = (flat(state_of(tmp_path / name)) for name in ("run", "long"))
    assert here.keys() == there.keys()
    for name, value in there.items():
        np.testing.assert_array_equal(here[name], value, name)
    train_and_evaluate(tiny, tmp_path / "run")  # the same command again, without --extend
    tiny.epochs = 1.0
    with pytest.raises(UserError, match=r"--extend with epochs=1.0 is less than the 2.0 of the"):
        train_and_evaluate(tiny, tmp_path / "run", extend=True)
    tiny.epochs, tiny.batch_size = 3.0, 128
    with pytest.raises(UserError, match=r"differ: batch_size \(256 there, 128 here\); choose ano"):
        train_and_evaluate(tiny, tmp_path / "run", extend=True)


@pytest.mark.heavy
def test_patience_is_free_where_nothing_is_left_to_train(tiny, tmp_path, monkeypatch, capsys):
    tiny.epochs, tiny.eval_every_epochs, tiny.early_stopping_patience = 3.0, 0.5, 1
    from cnn_jax import train

    figures = iter(range(9, 0, -1))
    monkeypatch.setattr(train.metrics, "selection_metric", lambda *_: (float(next(figures)), 0.0))
    train_and_evaluate(tiny, tmp_path)
    stopped_at = Checkpoints(tmp_path).steps()[-1]
    tiny.early_stopping_patience = 3
    train_and_evaluate(tiny, tmp_path)
    evaluate_only(tiny, tmp_path)
    assert Checkpoints(tmp_path).steps()[-1] == stopped_at
    capsys.readouterr()
    train_and_evaluate(tiny, tmp_path, extend=True)
    assert "no better validation figures for 3 evaluations" in capsys.readouterr().out
    assert Checkpoints(tmp_path).steps()[-1] > stopped_at


@pytest.mark.heavy
def test_patience_is_of_the_run_while_it_trains(tiny, tmp_path):
    train_and_evaluate(tiny, tmp_path)
    path = Checkpoints(tmp_path)
    assert workdir.free_keys(tmp_path) == ("early_stopping_patience",)
    meta = path.path(path.steps()[-1]) / "meta/metadata"
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {"total_steps": 99}))
    assert workdir.free_keys(tmp_path) == ()
    tiny.early_stopping_patience = 3
    with pytest.raises(UserError, match=r"early_stopping_patience \(0 there, 3 here\); choose"):
        workdir.check(tmp_path, tiny)


def test_default_folders(tiny, tmp_path, monkeypatch):
    """One for each run: no two configs or data share it, and more epochs do."""
    monkeypatch.chdir(tmp_path)
    first = workdir.default_folder(tiny)
    assert first.startswith("runs/tiny-digits-")
    tiny.epochs, tiny.checkpoint.keep, tiny.protocol = 9.0, 7, "ten_crop(9)"
    assert workdir.default_folder(tiny) == first
    tiny.batch_size = 3
    assert workdir.default_folder(tiny) != first
    names = set()
    for name in ("a/photos", "b/photos", "./a/photos/", "a/../a/photos"):
        tiny.data.name = f"folder:{name}"
        names.add(workdir.default_folder(tiny))
    assert len(names) == 2
    assert all(name.startswith("runs/tiny-photos-") for name in names)
    tiny.data.name = "digits"
    kept = tmp_path / "runs/tiny-digits"  # as an earlier version called it
    kept.mkdir(parents=True)
    (kept / "config.json").write_text(json.dumps(workdir.flat(tiny)))
    assert workdir.default_folder(tiny) == "runs/tiny-digits"
    tiny.seed = 1
    assert workdir.default_folder(tiny) != "runs/tiny-digits"
