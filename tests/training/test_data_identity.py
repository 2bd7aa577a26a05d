"""A run knows its data by what it holds: another path is no other data, other files are."""

import contextlib
import hashlib
import json
import os
import shutil
import types

import numpy as np
import pytest

from cnn_jax import data, train
from cnn_jax.data.dataset import Split, Task
from cnn_jax.data.identity import identify, label_map
from cnn_jax.errors import UserError
from cnn_jax.runtime.checkpoints import Checkpoints
from cnn_jax.runtime.checksums import write_checksums
from configs.base import base
from tests.support.folders import config_of, make

COUNTS = {"ash": 6, "elm": 6}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(images, workdir) of a run that is done."""
    top = tmp_path_factory.mktemp("data_identity")
    images = make(top / "images", COUNTS, splits=("train", "test"))
    train.train_and_evaluate(config_of(images), top / "run")
    return images, top / "run"


@pytest.fixture
def copied(run, tmp_path):
    """(images, workdir) that a test may change."""
    for path, name in zip(run, ("images", "run"), strict=True):
        shutil.copytree(path, tmp_path / name)
    return tmp_path / "images", tmp_path / "run"


def test_a_hash_of_names_and_labels():
    images = types.SimpleNamespace(
        source=types.SimpleNamespace(set_name="trees/2.0.0"), name=lambda row: ("e\u0301", "b")[row]
    )
    split = Split(images, np.array([1, 0], np.int32), np.arange(2, dtype=np.int32))
    found = identify(Task("classification", ("ash", "elm")), {"test": split})
    content = np.array([1, 0], "<i4").tobytes() + b"trees/2.0.0\0\xc3\xa9\0b"
    assert found == {
        "classes": ["ash", "elm"],
        "splits": {"test": {"examples": 2, "sha256": hashlib.sha256(content).hexdigest()}},
    }


def test_arrays_are_known_by_their_images():
    config = base("own", "digits", image_size=8).data
    first = data.load(config).identity
    config.image_size = 16  # not before they are resized
    assert data.load(config).identity == first
    dataset = data.load(config)
    dataset.test.originals[0, 0, 0] ^= 1
    assert dataset.identity["splits"]["train"] == first["splits"]["train"]
    assert dataset.identity["splits"]["test"] != first["splits"]["test"]
    assert first["classes"] == [str(digit) for digit in range(10)]


@pytest.mark.heavy
def test_workdir_and_checkpoints_say_what_the_data_is(run):
    images, folder = run
    written = json.loads((folder / "data.json").read_text())
    assert written.pop("name") == f"folder:{images}"
    assert written.pop("task")["classes"] == written["classes"]
    assert written.pop("image_shape") == [8, 8, 3]
    assert written == data.load(config_of(images).data).identity
    assert [split["examples"] for split in written["splits"].values()] == [10, 2, 12]
    _, meta = Checkpoints(folder).newest_meta()
    assert {key: meta["data"][key] for key in written} == written


@pytest.mark.heavy
def test_the_same_files_elsewhere_are_the_same_data(run, tmp_path, monkeypatch):
    images, folder = run
    shutil.copytree(folder, tmp_path / "run")
    shutil.copytree(images, tmp_path / "copy")
    (tmp_path / "link").symlink_to(images)
    monkeypatch.chdir(tmp_path)
    for name in (f"{images}/", "copy", "./copy/../copy/", "link", os.path.relpath(images)):
        train.train_and_evaluate(config_of(name), tmp_path / "run")
    kept = json.loads((tmp_path / "run/config.json").read_text())
    assert kept["data.name"] == f"folder:{os.path.relpath(images)}"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("came", r"1 file\(s\) came, train/ash/new.jpg the first; restore it, or"),
        ("went", r"1 file\(s\) went, test/elm/elm_00.jpg the first"),
        (
            "class",
            r"1 class\(es\) came, oak the first; 1 class\(es\) went, elm the first; 12 file\(s\) "
            r"came, test/oak/elm_00.jpg the first; 12 file\(s\) went, test/elm/elm_00.jpg the",
        ),
        ("moved", r"2 file\(s\) are in another split, train/\S+ the first \(\w+ there, \w+ here\)"),
    ],
)
def test_other_files_are_refused_by_name(copied, change, said):
    images, folder = copied
    config = config_of(images)
    if change == "came":
        shutil.copy(images / "train/ash/ash_00.jpg", images / "train/ash/new.jpg")
    elif change == "went":
        (images / "test/elm/elm_00.jpg").unlink()
    elif change == "class":
        for split in ("train", "test"):
            (images / split / "elm").rename(images / split / "oak")
    else:
        parts = json.loads((folder / "split.json").read_text())
        one, other = parts["train"][0], parts["validation"][0]
        parts["train"][0], parts["validation"][0] = other, one
        (folder / "split.json").write_text(json.dumps(parts))
        for path in (folder / "checkpoints").iterdir():  # as 0.1.0 left it
            forget_data(path)
    with pytest.raises(UserError, match=rf"data.name=.* trained on: .*{said}"):
        train.train_and_evaluate(config, folder)


def forget_data(checkpoint):
    """Takes what a checkpoint says of its data from it."""
    with changed_meta(checkpoint) as meta:
        del meta["data"]


@contextlib.contextmanager
def changed_meta(checkpoint):
    """What a whole checkpoint says beside its arrays, to be changed."""
    path = checkpoint / "meta/metadata"
    meta = json.loads(path.read_text())
    yield meta
    path.write_text(json.dumps(meta))
    write_checksums(checkpoint)


def test_a_run_is_held_to_the_save_that_it_goes_on_from(copied):
    """The newest is damaged; the one before it was brought from a run at another rate."""
    images, folder = copied
    saves = Checkpoints(folder)
    (newest,) = saves.steps()
    shutil.copytree(saves.path(newest), saves.path(1))
    with changed_meta(saves.path(1)) as meta:
        meta["progress"]["step"], meta["config"]["optimizer.learning_rate"] = 1, 0.5
    (saves.path(newest) / "_CHECKPOINT_METADATA").unlink()
    with pytest.raises(UserError, match=r"keys that differ: optimizer.learning_rate \(0.5 there"):
        train.train_and_evaluate(config_of(images), folder)


def test_counts_are_compared_where_the_list_of_files_is_lost(copied):
    images, folder = copied
    (folder / "split.json").unlink()
    (images / "test/elm/elm_00.jpg").unlink()
    with pytest.raises(UserError, match=r"on: test had 12 examples, now 11; restore it, or"):
        train.train_and_evaluate(config_of(images), folder)
    (images / "test/elm/elm_00.jpg").write_bytes((images / "test/ash/ash_00.jpg").read_bytes())
    (images / "test/elm/elm_01.jpg").rename(images / "test/elm/elm_09.jpg")
    with pytest.raises(UserError, match=r"on: the 12 examples of test are others; restore it"):
        train.train_and_evaluate(config_of(images), folder)


def test_a_run_that_kept_no_list_is_held_to_its_path(copied, tmp_path):
    images, folder = copied
    (folder / "split.json").unlink()
    for path in (folder / "checkpoints").iterdir():
        forget_data(path)
    shutil.copytree(images, tmp_path / "copy")
    with pytest.raises(UserError, match=r"kept no list of its files: data.name='folder:.*copy' ma"):
        train.train_and_evaluate(config_of(tmp_path / "copy"), folder)


@pytest.mark.heavy
def test_a_run_without_a_checkpoint_gives_its_data_up(copied):
    images, folder = copied
    shutil.rmtree(folder / "checkpoints")
    (images / "test/elm/elm_00.jpg").unlink()
    train.train_and_evaluate(config_of(images), folder)
    assert json.loads((folder / "data.json").read_text())["splits"]["test"]["examples"] == 11
    assert len(json.loads((folder / "split.json").read_text())["test"]) == 11


def test_labels_go_by_name():
    assert label_map(("oak", "ash"), ["ash", "elm", "oak"], "x", "y").tolist() == [2, 0]
    with pytest.raises(
        UserError,
        match=r"data.name='x' has 1 class\(es\), 'elms' the first \(did you mean 'elm'\?\), that "
        r"workdir='run' was not trained on; its 3 are ash, elm, oak",
    ):
        label_map(("ash", "elms"), ["ash", "elm", "oak"], "data.name='x'", "workdir='run'")
