"""The command `cnn_jax`: what it lists, how it is answered, and where it finds configs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from absl import flags

from cnn_jax import __main__ as command
from cnn_jax import cli, data
from cnn_jax.errors import UserError
from cnn_jax.runtime import command_help, config_files, shipped_configs, workdir
from tests.support.commands import ROOT

TOOLS = {path.stem for path in (ROOT / "cnn_jax/tools").glob("*.py")} - {"__init__"}


def cnn_jax(*words, cwd=ROOT):
    """`python -m cnn_jax words...` as a process, ended."""
    argv = [sys.executable, "-m", "cnn_jax", *words]
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def test_listing_names_every_tool_in_one_line_each():
    rows = command.help_text().split("\n\n")[2].splitlines()
    assert [row.split()[0] for row in rows] == ["train", "evaluate", *sorted(TOOLS)]
    assert all(len(row) <= 100 and row.endswith(".") for row in rows)


def test_new_tool_is_listed_by_itself(tmp_path, monkeypatch):
    (tmp_path / "paint.py").write_text('"""Paints: a picture of it all.\n\nMore."""\nraise 1\n')
    (tmp_path / "_hidden.py").write_text("")
    monkeypatch.setattr(command, "TOOLS", tmp_path)
    assert command.tools() == {"paint": "Paints."}


@pytest.mark.parametrize("words", [[], ["--help"], ["help"]])
def test_help(words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["cnn_jax", *words])
    command.main()
    assert capsys.readouterr().out == command.help_text() + "\n"


@pytest.mark.heavy
@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["summarize", "--list=nets"]])
def test_a_reader_that_has_left_is_no_fault(words):
    """As `| head -1` leaves: nothing on stderr, at the end of the program either."""
    reader, writer = os.pipe()
    os.close(reader)
    argv = [sys.executable, "-m", "cnn_jax", *words]
    try:
        ended = subprocess.run(
            argv, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, timeout=120, check=False
        )
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_unknown_command_is_one_line_with_the_nearest(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["cnn_jax", "trian"])
    with pytest.raises(SystemExit) as end:
        command.main()
    assert end.value.code == 2
    line = capsys.readouterr().err
    assert line.startswith("error: command='trian' is unknown (did you mean 'train'?); choices: ")
    assert line.count("\n") == 1


@pytest.mark.heavy
def test_tools_run_with_flags_and_words_of_their_own():
    """Its --help is its docstring and flags; a word after it is its own."""
    shown = cnn_jax("summarize", "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    docstring = command_help.docstring_of(ROOT / "cnn_jax/tools/summarize.py")
    assert shown.stdout.startswith(f"{docstring}\n\nFlags:\n")
    assert "  --input_size=N " in shown.stdout
    assert "--[no]layers " in shown.stdout


def test_flags_are_shown_as_they_are_written():
    values = flags.FlagValues()
    own = {"flag_values": values}
    flags.DEFINE_bool("fast", False, "Without care.", **own)
    flags.DEFINE_integer("rows", 8, "Examples to show.", **own)
    flags.DEFINE_enum("mode", "train", ["train", "evaluate"], "What to do.", **own)
    flags.DEFINE_multi_string("option", [], "KEY=VALUE; repeatable", **own)
    shown = dict(command_help.describe(values[name]) for name in values)
    assert shown == {
        "--[no]fast": "Without care.",
        "--rows=N": "Examples to show. [8]",
        "--mode=train|evaluate": "What to do. [train]",
        "--option=...": "KEY=VALUE; repeatable",
    }


def test_columns_put_a_long_name_on_a_line_of_its_own():
    long = "--kind=" + "x" * 40
    shown = command_help.columns({"--a=N": "First.", long: "Second.", "--bc=N": ""})
    assert shown == f"  --a=N   First.\n  {long}\n          Second.\n  --bc=N"


@pytest.mark.heavy
def test_configs_of_the_package_are_found_from_anywhere(tmp_path):
    """A mistake in the last key shows that the file was loaded; nothing is computed."""
    failed = cnn_jax("train", "--config", "bn_lenet:mnist", "--config.epochs=-1", cwd=tmp_path)
    assert failed.stderr == "error: epochs=-1.0 is out of range: choose a number > 0\n"


def test_help_lists_flags_configs_and_datasets():
    """The datasets are written down beside the help, which must not import the data room."""
    assert list(command_help.DATASETS) == data.names()
    assert "lenet5_1998" in {path.stem for path in shipped_configs.shipped_configs()}
    assert "base" not in {path.stem for path in shipped_configs.shipped_configs()}


@pytest.mark.parametrize("name", ["lenet5", "lenet5.py", "configs/lenet5", "configs/lenet5.py"])
def test_names_of_a_config_of_the_package(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert config_files.find_config(name) == shipped_configs.SHIPPED / "lenet5.py"
    assert config_files.load_config(f"{name}:mnist").data.name == "mnist"


def test_a_tilde_behind_an_equals_sign_is_the_home(tmp_path, monkeypatch):
    """Shells leave it: the run went into a folder called ~, and its pictures to the home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cli.with_home("--workdir=~/run") == f"--workdir={tmp_path}/run"
    assert cli.with_home("--config.init.from=~") == f"--config.init.from={tmp_path}"
    for word in ("--workdir=a~/b", "~/photo.jpg", "--workdir", "--set=a=~/b", "--workdir="):
        assert cli.with_home(word) == word
    result = cnn_jax("evaluate", "--workdir=~/gone")
    assert f"'{tmp_path}/gone'" in result.stderr


def test_own_file_comes_before_one_of_the_package(tmp_path, monkeypatch):
    """It may import the package's configs, from a folder `configs` of its own too."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/lenet5.py").write_text(
        "from configs.base import base\n\ndef get_config():\n    return base('own', 'digits', 8)\n"
    )
    assert config_files.find_config("configs/lenet5.py") == Path("configs/lenet5.py")
    assert config_files.load_config("configs/lenet5.py").name == "own"


@pytest.mark.parametrize("name", ["lenet", "other/lenet5.py", "../configs/lenet5.py", "base.txt"])
def test_config_that_is_not_there(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"is no Python file"):
        config_files.find_config(name)


@pytest.mark.parametrize("form", [["--workdir=RUN"], ["--workdir", "RUN"], ["-workdir=RUN"]])
def test_the_run_of_a_workdir_is_its_config(tmp_path, form):
    """Its keys can be changed, and those that were left open keep their types."""
    config = config_files.load_config("lenet5:mnist")
    config.batch_size = 7
    (tmp_path / "config.json").write_text(json.dumps(workdir.flat(config)))
    argv = ["main", "--config.epochs=3", *(w.replace("RUN", str(tmp_path)) for w in form)]
    named = config_files.value_of("workdir", argv)
    assert named == str(tmp_path)
    words, found = config_files.read_config_flags(argv, cli.load_open_config, named)
    assert words == ["main", f"--config={tmp_path / 'config.json'}", *argv[1:]]
    assert (found.batch_size, found.data.name) == (7, "mnist")
    assert found.optimizer.get_type("momentum") is float
    assert found.model.get_type("f6") is str
    assert workdir.flat(found) == workdir.flat(cli.load_open_config("lenet5:mnist")) | {
        "batch_size": 7
    }
    with pytest.raises(
        UserError, match=r"config.epoch=3: there is no such key \(did you mean 'epo"
    ):
        config_files.read_config_flags(["main", "--config.epoch=3"], workdir=named)
    with pytest.raises(
        UserError, match=r"needs --config=FILE before it, or the --workdir of a run"
    ):
        config_files.read_config_flags(["main", "--config.epochs=3"], workdir=str(tmp_path / "no"))
    argv = ["main", "--config=lenet5", *form]  # a config that is named comes first
    assert config_files.read_config_flags(argv, workdir=named)[1].batch_size == 32


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("invalid literal for int() with base 10: 'a'", " has the wrong type: expected int"),
        ("could not convert string to float: 'a'", " has the wrong type: expected float"),
        ("value should be one of <table|csv>", " is unknown; choices: table, csv"),
        ("-1 is not a non-negative integer", ": -1 is not a non-negative integer"),
    ],
)
def test_why_a_flag_is_refused(reason, said):
    assert cli.refusal(reason) == said
