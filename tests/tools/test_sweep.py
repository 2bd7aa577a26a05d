"""A sweep: what is run, what is not run twice, and that a wrong value is said before the first."""

import json
import re

import pytest
from absl import flags

from cnn_jax import cli, python_runs
from cnn_jax.errors import UserError
from cnn_jax.runtime import workdir
from cnn_jax.runtime.config_files import load_config
from cnn_jax.runtime.preemption import Interrupted
from cnn_jax.tools import sweep
from cnn_jax.training import open_values

WORDS = ("--config=mlp", "--config.epochs=0.1", "--config.data.image_size=8")


def grid(*settings, seeds=None):
    return sweep.read_grid(settings, seeds, cli.load_open_config("mlp"))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0.1,1e-2", ["0.1", "1e-2"]),
        ("('a', 'b'),()", ["('a', 'b')", "()"]),
        ("(),(('rotate(1, 2)',),)", ["()", "(('rotate(1, 2)',),)"]),
        ("'a,b',c", ["'a,b'", "c"]),
    ],
)
def test_values_are_parted_outside_brackets_and_quotes(text, values):
    assert sweep.split_values(text) == values


@pytest.mark.parametrize(
    ("settings", "seeds", "message"),
    [
        (["batch_size"], None, r"--set='batch_size': write KEY=VALUE,VALUE"),
        (["batch_sise=1,2"], None, r"no such key.*batch_size"),
        (["batch_size=1,,2"], None, "a value is empty, or a bracket"),
        (["augment=('a',"], None, "a value is empty, or a bracket or quote is left open"),
        (["batch_size=1,1"], None, "names a value twice"),
        (["batch_size=1", "config.batch_size=2"], None, "batch_size is set twice"),
        (["seed=1,2"], 3, "--seeds=3 and --set seed=...: leave one"),
        (["batch_size=1,2"], 5001, "10,002 runs, more than 10,000"),
    ],
)
def test_what_is_no_sweep(settings, seeds, message):
    with pytest.raises(UserError, match=message):
        grid(*settings, seeds=seeds)


def test_every_combination_is_a_command_that_makes_its_config(tmp_path):
    jobs = sweep.make_jobs(
        WORDS, grid("optimizer.learning_rate=0.1,1e-2", "augment=(),('a b',)", seeds=2), tmp_path
    )
    found = [(j.config.optimizer.learning_rate, j.config.augment, j.config.seed) for j in jobs]
    assert found == [(r, a, s) for r in (0.1, 0.01) for a in ((), ("a b",)) for s in (0, 1)]
    assert len({job.folder for job in jobs}) == 8
    assert jobs[0].folder.parent == tmp_path
    assert jobs[3].command.startswith("cnn_jax train --config=mlp --config.epochs=0.1 ")
    assert "'--config.augment=('\"'\"'a b'\"'\"',)' --config.seed=1 --workdir=" in jobs[3].command


def test_values_that_look_alike_have_folders_of_their_own(tmp_path):
    settings = grid("augment=('a',),['a'],('a' ,)", "batch_size=8")
    names = [job.folder.name for job in sweep.make_jobs(WORDS, settings, tmp_path)]
    assert len({*names}) == 3
    assert all(re.fullmatch(r"augment=_a_-[0-9a-f]{6},batch_size=8", name) for name in names)
    assert sweep.file_name("1e-3") == "1e-3"
    assert len(sweep.file_name("a" * 500)) == 47


def test_the_configs_words_are_taken_from_a_command_line():
    argv = ["--seeds=2", "--config", "mlp", "--config.data.skip_bad", "--out=x", "--noconfig.a.b"]
    words = ("--config=mlp", "--config.data.skip_bad", "--noconfig.a.b")
    assert sweep.config_words([*argv, "--config.seed", "3"]) == (*words, "--config.seed=3")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--config=mlp", "--config.epochs=x"],
            "config.epochs='x' has the wrong type",
        ),
        (["--config=nothing"], "nothing"),
        (["--config=mlp", "--config.epoch=1"], "no such key"),
    ],
)
def test_a_config_of_words_is_right_or_said(words, message):
    with pytest.raises(UserError, match=message):
        cli.read_config(words)
    assert "config" not in flags.FLAGS or flags.FLAGS["config"].value is None


def test_a_wrong_value_is_said_before_the_first_run(tmp_path):
    jobs = sweep.make_jobs(WORDS, grid("batch_size=32,0"), tmp_path)
    with pytest.raises(UserError, match="batch_size=0"):
        sweep.check(jobs)
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_goes_on_and_trains_nothing_twice(tmp_path, monkeypatch, capsys):
    jobs, seen = sweep.make_jobs(WORDS, grid(seeds=2), tmp_path / "sweep"), []

    def stopped_at_the_second(config, folder, **options):
        seen.append(config.seed)
        if len(seen) == 2:
            raise Interrupted(15, 1)
        (folder / "checkpoints/begun").mkdir(parents=True)
        values = config.copy_and_resolve_references()
        open_values.complete(values, folder)
        workdir.write_json(folder / "config.json", workdir.flat(values))
        report = {"split": "test", "protocol": "single_crop", "examples": 9, "loss": 1.0}
        report["accuracy"] = 0.5 + config.seed / 4
        workdir.write_json(folder / "report.json", report)
        return "trained"

    monkeypatch.setattr(workdir, "is_finished", lambda folder: True)
    monkeypatch.setattr(python_runs, "train_and_evaluate", stopped_at_the_second)
    sweep.check(jobs)
    with pytest.raises(SystemExit) as end:
        sweep.train_all(jobs)
    assert end.value.code == 128 + 15
    assert sweep.train_all(jobs) == {}
    assert seen == [0, 1, 1]
    assert "1 of 2 runs are finished" in capsys.readouterr().out
    sweep.check(jobs)  # of finished runs
    sweep.show_table(jobs, str(tmp_path / "rows.json"))
    (row,) = json.loads((tmp_path / "rows.json").read_text())
    assert (row["runs"], row["accuracy"]) == (2, 0.625)
    other = sweep.make_jobs((*WORDS, "--config.batch_size=16"), grid(seeds=2), tmp_path / "sweep")
    with pytest.raises(UserError, match=r"keys that differ: batch_size .* choose another --out"):
        sweep.check(other)


def test_the_bar_goes_on_within_a_run(tmp_path, monkeypatch):
    """One of hours would else stand at the number of runs that are done."""
    jobs, seen = sweep.make_jobs(WORDS, grid(seeds=2), tmp_path), []

    def training(config, folder, on_step, **options):
        on_step(1, 4)
        on_step(4, 4)

    monkeypatch.setattr(python_runs, "train_and_evaluate", training)
    reach = sweep.ProgressBar.reach

    def seen_reach(bar, done, *words):
        seen.append(done)
        reach(bar, done, *words)

    monkeypatch.setattr(sweep.ProgressBar, "reach", seen_reach)
    sweep.train_all(jobs)
    assert seen == [0, 0.25, 1, 1, 1, 1.25, 2, 2]


def test_a_run_that_diverges_ends_no_sweep(tmp_path, monkeypatch, capsys):
    jobs = sweep.make_jobs(WORDS, grid("optimizer.learning_rate=1,2"), tmp_path)

    def diverging(config, folder, **options):
        raise UserError("loss or gradient is not finite at step 3")

    monkeypatch.setattr(python_runs, "train_and_evaluate", diverging)
    assert list(sweep.train_all(jobs)) == [job.folder for job in jobs]
    assert capsys.readouterr().out.count("not finite at step 3") == 2
    with pytest.raises(UserError, match="no run came to figures"):
        sweep.show_table([], None)


@pytest.mark.parametrize("has_report", [False, True])
@pytest.mark.parametrize("steps_are_done", [False, True])
def test_a_run_is_finished_by_its_steps_and_its_report(
    tmp_path, monkeypatch, has_report, steps_are_done
):
    monkeypatch.setattr(workdir, "is_finished", lambda folder: steps_are_done)
    if has_report:
        (tmp_path / "report.json").touch()
    assert sweep.Job((), tmp_path, None).is_finished() is (has_report and steps_are_done)


def test_another_base_is_another_folder():
    one, other = load_config("mlp"), load_config("mlp")
    other.batch_size = 7
    folders = [sweep.default_folder(config) for config in (one, other)]
    assert folders[0] != folders[1]
    assert all(folder.startswith("runs/sweep-mlp-digits-") for folder in folders)
