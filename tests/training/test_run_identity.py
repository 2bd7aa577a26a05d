"""A run is held to what its name meant when it began."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from ml_collections import ConfigDict

from cnn_jax.errors import UserError
from cnn_jax.runtime import workdir
from cnn_jax.train import train_and_evaluate
from cnn_jax.training import run_identity
from cnn_jax.training.run_identity import refuse_other_net


def experiment(**model):
    return SimpleNamespace(config=ConfigDict({"model": model}))


def test_a_run_of_an_earlier_version_is_looked_at_before_it_goes_on(tmp_path, monkeypatch):
    """Its checkpoints say nothing of their data."""
    monkeypatch.setattr(run_identity.Checkpoints, "newest_meta", lambda self: (3, {"config": {}}))
    of_test = experiment(name="seresnet50")
    of_test.dataset = SimpleNamespace(name="digits", test=[0])
    with pytest.raises(UserError, match=r"whose seresnet50 strides in the 3x3"):
        run_identity.keep_data(of_test, tmp_path, is_new_run=False)


def test_the_seresnet50_of_an_earlier_version_is_refused():
    with pytest.raises(UserError, match=r"workdir='runs/se' .* strides in the 3x3"):
        refuse_other_net(experiment(name="seresnet50"), Path("runs/se"))
    refuse_other_net(experiment(name="seresnet50", stride_in="3x3"), Path("runs/se"))
    refuse_other_net(experiment(name="resnet50"), Path("runs/se"))


@pytest.mark.heavy
def test_a_resume_under_other_libraries_says_so(tiny, tmp_path, monkeypatch, capsys):
    """Once, naming what changed; with the same ones it is silent."""
    here = dict(workdir.versions())
    monkeypatch.setattr(workdir, "versions", lambda: here | {"jaxlib": "0.9.1"})
    tiny.epochs = 1.0
    train_and_evaluate(tiny, tmp_path / "run")
    monkeypatch.setattr(workdir, "versions", lambda: here)
    capsys.readouterr()
    tiny.epochs = 2.0
    train_and_evaluate(tiny, tmp_path / "run", extend=True)
    lines = [line for line in capsys.readouterr().err.splitlines() if "bits" in line]
    [line] = lines
    assert line.startswith("warning: since step 6 was saved")
    assert f"jaxlib 0.9.1 is {here['jaxlib']} now" in line
    assert "numpy" not in line
    tiny.epochs = 3.0
    train_and_evaluate(tiny, tmp_path / "run", extend=True)
    assert "bits" not in capsys.readouterr().err
