"""Names of files and classes hold anything; a terminal sees them escaped, on their line."""

import json
import os
import subprocess
import sys

import pytest
from PIL import Image

from cnn_jax import cli
from cnn_jax.data.sources import image_folder, manifest
from cnn_jax.errors import UserError, printable
from cnn_jax.runtime import metric_writers as writers
from cnn_jax.runtime import report
from cnn_jax.tools.prepare import write_manifest

NAMES = ("b\nerror: c", "d\x1b[31me", "f\ag", "ros\udce9", "é 雪", "r\rs\\n")
SHOWN = ("b\\nerror: c", "d\\x1b[31me", "f\\x07g", "ros\\udce9", "é 雪", "r\\rs\\n")


@pytest.fixture
def folder(tmp_path):
    for seed, name in enumerate(NAMES):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(10):
            image = Image.new("RGB", (12, 12), (40 * seed, 50 * i, 9))
            image.save(tmp_path / "photos" / name / f"{name}{i}.png")
    return tmp_path / "photos"


def test_what_a_terminal_would_obey_is_escaped():
    assert tuple(map(printable, NAMES)) == SHOWN
    assert printable("\u202e\u2028\x9b") == "\\u202e\\u2028\\x9b"


def test_an_error_is_one_line(capsys):
    with pytest.raises(SystemExit):
        cli.fail(f"class folder {NAMES[1]} of {NAMES[0]}")
    assert capsys.readouterr().err == f"error: class folder {SHOWN[1]} of {SHOWN[0]}\n"


def test_so_are_lines_of_a_run_and_warnings_of_a_folder(capsys):
    writers.Console(1, 0).say(f"in {NAMES[1]}")
    image_folder.warn(f"{NAMES[0]}: left out")
    found = capsys.readouterr()
    assert (found.out, found.err) == (f"in {SHOWN[1]}\n", f"warning: {SHOWN[0]}: left out\n")


def test_a_report_shows_them_in_its_columns():
    figures = {"precision": 1.0, "recall": 1.0, "f1-score": 1.0, "support": 2.0}
    result = {
        "classes": dict.fromkeys(NAMES, figures),
        "macro_average": figures,
        "weighted_average": figures,
        "confusion_matrix": [[0] * 6] * 6,
    }
    for table in (report.class_table(result), report.matrix_table(result)):
        assert all(line.isprintable() for line in table)
        assert [name for name in SHOWN if any(name in line for line in table)] == list(SHOWN)


def test_a_manifest_holds_them(folder, tmp_path):
    path = tmp_path / "manifest"
    write_manifest(str(folder), path)
    manifest.verify(image_folder.list_folder(str(folder)), path)
    if os.path.exists("/usr/bin/sha256sum"):
        checked = subprocess.run(["sha256sum", "--quiet", "-c", path], cwd=folder, check=False)
        assert checked.returncode == 0
    next((folder / NAMES[0]).iterdir()).write_bytes(b"other")
    with pytest.raises(UserError, match="1 of 60 files are not as hashed"):
        manifest.verify(image_folder.list_folder(str(folder)), path)


@pytest.mark.heavy
def test_they_end_no_run(folder, tmp_path):
    (folder / NAMES[1] / f"{NAMES[1]}9.png").write_bytes(b"no image")
    words = [f"--config=lenet5:folder:{folder}", f"--workdir={tmp_path / 'run'}"]
    options = {"epochs": 1, "data.image_size": 32, "data.skip_bad": True, "batch_size": 8}
    words += [f"--config.{key}={value}" for key, value in options.items()]
    result = subprocess.run(
        [sys.executable, "-m", "cnn_jax.main", *words],
        env=os.environ | {"PYTHONIOENCODING": "ascii:strict"},
        capture_output=True,
    )
    assert result.returncode == 0, result.stderr
    text = (result.stdout + result.stderr).decode()
    assert "\\x1b[31me9.png (" in text
    assert all(line.isprintable() for line in text.split("\n"))
    for name in (SHOWN[0], SHOWN[1], SHOWN[3]):
        assert sum(line.strip().startswith(name) for line in text.split("\n")) == 2
    kept = json.loads((tmp_path / "run" / "report.json").read_text())
    assert set(kept["classes"]) == set(NAMES)
