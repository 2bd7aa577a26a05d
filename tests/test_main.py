"""The command: what each mode does, prints and leaves."""

import json
import os

import pytest

from cnn_jax.errors import UserError
from cnn_jax.runtime import workdir
from cnn_jax.runtime.config_files import config_of_run, load_config
from cnn_jax.training import optimizers
from tests.support import commands

TINY = f"--config={commands.CONFIG}"


def run(*words, **options):
    """A command that must succeed, with nothing on stderr."""
    command = commands.start(*words, **options)
    assert command.wait() == 0, command.err
    assert command.err == ""
    return command


def test_help_names_every_flag_config_and_dataset():
    out = run("--help").out
    for flag in ("config=...", "workdir=...", "mode=train|evaluate", "[no]dry_run"):
        assert f"\n  --{flag} " in out
    for name in ("resnet18 ", "lenet5_1998 ", "fashion_mnist ", "folder:PATH "):
        assert f"\n  {name} " in out


def test_train_then_evaluate(tmp_path):
    """What a run leaves, and where by default; the same report again, from data that has moved."""
    words = [f"--config={commands.ROOT / commands.CONFIG}", "--config.epochs=0.3"]
    out = run(*words, cwd=tmp_path).out
    assert all(len(line) <= 100 for line in out.splitlines())
    assert "validation figures are by single_crop, the report on test by single_crop" in out
    assert "test: 359 examples, single_crop, loss " in out
    (folder,) = (tmp_path / "runs").glob("tiny-digits-????????")
    assert {path.name for path in folder.iterdir()} == {
        ".lock", "calibration.png", "checkpoints", "config.json", "confusion.png", "constants.npz",
        "curves.png", "data.json", "environment.json", "metrics.jsonl", "report.json",
        "tensorboard", "top_losses.png",
    }  # fmt: skip
    written = (folder / "report.json").read_bytes()
    accuracy = json.loads(written)["accuracy"]
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert {row["protocol"] for row in rows if "validation/loss" in row} == {"single_crop"}
    (folder / "report.json").unlink()
    out = run(*words, "--mode=evaluate", "--config.data.dir=/elsewhere", cwd=tmp_path).out
    assert (folder / "report.json").read_bytes() == written
    assert f"accuracy {accuracy:.4f}" in out
    run("--mode=evaluate", f"--workdir=runs/{folder.name}", cwd=tmp_path)
    assert (folder / "report.json").read_bytes() == written


@pytest.mark.parametrize("name", ["resnet18:cifar10", "artworks:finetune:folder:X", "lenet5_1998"])
def test_the_config_of_a_run_is_read_back(tmp_path, name):
    config = load_config(name)
    optimizers.complete(config)
    values = workdir.flat(config)
    del values["checkpoint.keep"]  # a run that is older than the key
    (tmp_path / "config.json").write_text(json.dumps(values))
    found = config_of_run(tmp_path)
    assert workdir.flat(found) == workdir.flat(config)
    assert found.augment == tuple(config.augment)
    for text, why in (
        ("[1]", "it holds a list, not values by key"),
        ("{}", "it has no key 'name'"),
        ("{", "Expecting property name"),
        ("[" * 100_000, "it is nested too deeply"),
    ):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(
            UserError, match=rf"config.json cannot be read \({why}.*: name the --config"
        ):
            config_of_run(tmp_path)


def test_dry_run_tells_the_price_and_writes_nothing(tmp_path):
    out = run(TINY, f"--workdir={tmp_path / 'run'}", "--dry_run").out
    assert "dry run passed in " in out
    assert "1,226 parameters" in out
    assert "41 steps of " in out
    assert "the run will take about " in out
    assert os.listdir(tmp_path) == []
