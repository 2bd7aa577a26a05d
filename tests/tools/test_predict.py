"""Predictions as text: every image once, in order, whatever the names of files and classes."""

import csv
import io
import json
import threading

import numpy as np
import pytest

from cnn_jax import train
from cnn_jax.data.dataset import Task
from cnn_jax.data.images.resize import ResizeSpec
from cnn_jax.data.normalization import InputStatistics
from cnn_jax.inference import image_stream
from cnn_jax.inference.image_stream import NamedImage, prepare_ahead
from cnn_jax.inference.predictions import Predictions
from cnn_jax.inference.preparation import ImagePreparation
from cnn_jax.tools import predict
from configs.base import base
from tests.support import commands, folders

HOSTILE = "a\x1b[2J\nb.jpg"
TASK = Task("classification", ("cat", "=1+1", "d\x1bog"))
FOUND = Predictions(
    [HOSTILE, "-x.jpg"], TASK, np.array([[0.25, 0.5, 0.25], [0.0625, 0.3125, 0.625]], np.float32)
)
NUMBERS = Predictions(["a.jpg"], Task("regression", unit="degrees"), np.float32([[-12.5]]))


def written(write, found, capsys, top=2):
    images = [NamedImage(name, lambda _: np.zeros((1, 1, 1), np.uint8)) for name in found.names]
    write(iter(found), images, top)
    return capsys.readouterr().out


def test_table(capsys):
    lines = written(predict.write_table, FOUND, capsys).splitlines()
    width = len(r"a\x1b[2J\nb.jpg")
    assert lines == [
        r"a\x1b[2J\nb.jpg  =1+1 0.500  cat 0.250",  # of equal ones the first
        rf"{'-x.jpg':{width}}  d\x1bog 0.625  =1+1 0.312",
    ]
    assert written(predict.write_table, NUMBERS, capsys) == "a.jpg  -12.5 degrees\n"


def test_csv(capsys):
    rows = list(csv.reader(io.StringIO(written(predict.write_csv, FOUND, capsys))))
    assert rows[0] == ["image", "rank", "class", "probability"]
    assert rows[1] == [r"a\x1b[2J\nb.jpg", "1", "'=1+1", "0.5"]  # no spreadsheet computes it
    assert rows[3] == ["'-x.jpg", "1", r"d\x1bog", "0.625"]
    assert len(rows) == 5
    assert written(predict.write_csv, NUMBERS, capsys) == "image,value\na.jpg,-12.5\n"


def test_json(capsys):
    record = json.loads(written(predict.write_json, FOUND, capsys, top=1))
    assert record[0] == {"image": HOSTILE, "top": [{"class": "=1+1", "probability": 0.5}]}
    assert record[1]["top"][0] == {"class": "d\x1bog", "probability": 0.625}
    assert json.loads(written(predict.write_json, NUMBERS, capsys)) == [
        {"image": "a.jpg", "value": -12.5, "unit": "degrees"}
    ]


def test_a_bounded_number_of_images_is_decoded_ahead(monkeypatch):
    monkeypatch.setattr(image_stream.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    read, gate = [], threading.Semaphore(0)

    def image(number):
        def pixels(_):
            gate.acquire()
            read.append(number)
            return np.full((1, 1, 1), number % 256, np.uint8)

        return NamedImage(str(number), pixels)

    own = ImagePreparation(ResizeSpec(1, "pad", 1), InputStatistics(np.float32(0), np.float32(1)))
    pending = iter([image(number) for number in range(1000)])
    taken = prepare_ahead(pending, own)
    gate.release(1000)
    names = [next(taken)[0] for _ in range(10)]
    assert names == [str(number) for number in range(10)]
    assert int(next(pending).name) <= 10 + image_stream.AHEAD * 2 + 1
    taken.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("predict")
    photos = folders.make(place / "photos", {"ants": 12, "bees": 12})
    config = base("tiny", f"folder:{photos}", image_size=8)
    config.update({"epochs": 1.0, "batch_size": 8, "devices": 1, "log_every_steps": 0})
    config.model.update({"name": "mlp", "hidden": (8,)})
    train.train_and_evaluate(config, str(place / "run"))
    return place / "run", photos


@pytest.mark.heavy
def test_the_command_leaves_out_what_it_cannot_read(run, tmp_path):
    (tmp_path / "pipes").mkdir()
    for name in (HOSTILE, "good.jpg"):
        (tmp_path / "pipes" / name).write_bytes((run[1] / "ants/ants_03.jpg").read_bytes())
    (tmp_path / "pipes/bad\x1b.jpg").write_bytes(b"\xff\xd8\xff no image")
    words = [f"--workdir={run[0]}", str(tmp_path / "pipes"), str(run[1] / "bees/bees_01.jpg")]
    process = commands.start(*words, "--format=json", program="cnn_jax.tools.predict")
    assert process.wait() == 2, process.err
    assert "1 of 4 images cannot be read: exit status 2" in process.err
    assert r"bad\x1b.jpg" in process.err
    assert "\x1b" not in process.err
    record = json.loads(process.out)
    names = [one["image"].removeprefix(f"{tmp_path}/pipes/") for one in record]
    assert names == [HOSTILE, "good.jpg", f"{run[1]}/bees/bees_01.jpg"]
    assert record[0]["top"] == record[1]["top"]
    assert {share["class"] for share in record[0]["top"]} == {"ants", "bees"}


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([], "name images, or folders of images, after the flags"),
        (["none.jpg"], "images='none.jpg': there is no such file or folder"),
        (["--top=0", "x"], "--top=0 is out of range: choose a number >= 1"),
    ],
)
def test_mistakes(run, words, error):
    process = commands.start(*words, f"--workdir={run[0]}", program="cnn_jax.tools.predict")
    assert process.wait() == 2
    assert process.err == f"error: {error}\n"
