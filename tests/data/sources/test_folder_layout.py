"""Which folder serves as what, what is left out, and what is said of it."""

import contextlib
import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cnn_jax import data, train
from cnn_jax.data import splits
from cnn_jax.data.dataset import Task
from cnn_jax.data.sources import image_folder
from cnn_jax.data.sources.array_source import ArraySource
from cnn_jax.errors import UserError
from cnn_jax.training.experiment import check_config
from configs.base import base
from tests.support.folders import encoded, make, picture

COUNTS = {"a": 6, "b": 6}


def load(root, **changes):
    config = base("test", f"folder:{root}", image_size=16).data
    config.update(changes)
    return data.load(config)


def test_folders_beside_the_splits_are_left_out_and_named(tmp_path, capsys):
    make(tmp_path, COUNTS, splits=("train", "test"))
    make(tmp_path, {"unlabeled": 3})
    found = load(tmp_path, validation=2.0)
    assert found.task.classes == ("a", "b")
    assert [len(found.train), len(found.validation), len(found.test)] == [10, 2, 12]
    assert "unlabeled/ left out" in capsys.readouterr().err
    assert found.layout == (
        "2 classes: train/ is train, test/ is test (train 10, validation 2, test 12); "
        "validation is held out of train"
    )


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (("train", "val", "validation"), "val/, validation/ are all validation: keep one"),
        (("set_train/set_train", "set_test/set_test"), "set_test/, set_train/ would be classes"),
        (("x/train", "x/test", "y"), "x/ would be a class, and holds test/, train/"),
        (("train/x/train", "train/x/test", "test"), "x/ would be a class, and holds test/, train/"),
        (("test", "val"), "test/, val/ would be classes"),
        (("train", "unlabeled"), "train/ would be a class, and holds folders alone, as splits do"),
    ],
)
def test_splits_that_cannot_be_told_are_refused_with_what_is_read(tmp_path, splits, message):
    make(tmp_path, COUNTS, splits=splits)
    with pytest.raises(UserError) as error:
        load(tmp_path)
    assert message in str(error.value)
    assert "read are CLASS/ or train/CLASS/" in str(error.value)


@pytest.mark.parametrize(
    ("splits", "place", "refused"),
    [
        ((), "runs/x", True),
        ((), "", True),
        ((), "a/x", True),
        ((), "../runs", False),
        ((), ".runs/x", False),
        (("train", "val"), "runs/x", False),
        (("train", "val"), "val/runs", True),
    ],
)
def test_a_workdir_among_the_images_is_refused(tmp_path, monkeypatch, splits, place, refused):
    """Its curves and top losses would be a class; where it would be left out it may be."""
    make(tmp_path / "photos", COUNTS, splits=splits or ("",))
    monkeypatch.chdir(tmp_path / "photos")
    config = base("own", "folder:.", image_size=8)
    config.model.name = "perceptron"
    expected = pytest.raises(UserError, match=r"workdir='.*' lies among the images of .*folder:\.'")
    with expected if refused else contextlib.nullcontext():
        check_config(config, folder=Path(place))


def test_classes_may_be_called_as_splits_are(tmp_path):
    make(tmp_path, {"train": 6, "car": 6})
    make(tmp_path, {"red": 3, "blue": 3}, splits=("test_tube",))
    found = load(tmp_path)
    assert found.task.classes == ("car", "test_tube", "train")
    assert found.layout.startswith("3 class folders in one heap, divided by data.split_seed: train")


def test_hidden_and_system_folders_are_left_out_at_every_depth(tmp_path):
    make(tmp_path, COUNTS)
    for folder in ("__MACOSX", ".git", "a/@eaDir", "a/deep/.thumbnails", "b/__MACOSX"):
        make(tmp_path, {"x": 1}, splits=(folder,))
    assert len(image_folder.list_folder(str(tmp_path))) == 12


def test_names_of_jpeg_and_files_that_only_look_like_images(tmp_path, capsys):
    make(tmp_path, COUNTS)
    content = encoded(picture(0))
    for name in ("a/1.jpe", "a/2.JFIF", "b/plain", "b/other.dat", "loose.jpg", "b/._3.jpg"):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "b" / "notes.txt").write_text("no image")
    assert len(image_folder.list_folder(str(tmp_path))) == 14
    said = capsys.readouterr().err
    assert "3 file(s) that look like images are left out, b/other.dat the first (" in said
    for kind in ("1 without a suffix", "1 .dat", "1 in no class folder"):
        assert kind in said


@pytest.mark.parametrize("label", [-1, 2])
def test_labels_of_no_class_are_refused(label):
    source = ArraySource(Task("classification", ("a", "b")), np.zeros((3, 4, 4, 1), np.uint8),
                         np.array([0, label, 1], np.int32))  # fmt: skip
    with pytest.raises(UserError, match=rf"label {label} of example 1 is not among 0 to 1"):
        splits.check_labels(source, "mine")
    regression = dataclasses.replace(source, task=Task("regression"))
    splits.check_labels(regression, "mine")


def test_labels_are_checked_when_a_set_is_loaded(monkeypatch):
    real = data.open_source

    def damaged(config):
        source = real(config)
        source.labels[5] = 10
        return source

    monkeypatch.setattr(data, "open_source", damaged)
    with pytest.raises(UserError, match=r"data.name='digits': label 10 of example 5"):
        data.load(base("test", "digits", image_size=16).data)


def test_a_run_that_took_val_for_test_does_not_go_on(tmp_path):
    found = load(make(tmp_path / "images", COUNTS, splits=("train", "val")))
    experiment: Any = SimpleNamespace(dataset=found)
    with pytest.raises(UserError, match=r"holds a run of cnn_jax 0.1.0, for which the val/"):
        train.keep_data(experiment, tmp_path, is_new_run=False)
