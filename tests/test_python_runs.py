"""Training from Python: the same run, data and nets from outside the package, and silence."""

import json

import flax.linen as nn
import numpy as np
import pytest

import cnn_jax
from cnn_jax import data, models, python_runs
from cnn_jax.data import sources
from cnn_jax.errors import UserError
from cnn_jax.runtime import progress
from cnn_jax.runtime.config_files import load_config


def tiny(name="mlp", size=8):
    config = load_config(name)
    config.data.image_size, config.batch_size, config.epochs = size, 32, 1.0
    config.eval_batch_size, config.devices = 32, 1
    return config


def arrays(classes=3, count=120, channels=3):
    images = np.random.default_rng(0).integers(256, size=(count, 10, 12, channels), dtype=np.uint8)
    return images, np.arange(count) % classes


@pytest.mark.heavy
def test_a_dataset_that_is_given_is_trained_on_quietly(tmp_path, capfd):
    config, folder = tiny(), tmp_path / "run"
    source = data.from_arrays(*arrays(), classes=["a", "b", "c"])
    steps = []
    trained = cnn_jax.train_and_evaluate(
        config, folder, source, quiet=True, on_step=lambda *done: steps.append(done)
    )
    out, error = capfd.readouterr()
    assert out == ""
    assert "epoch" not in error
    assert config.data.name == "digits"  # the caller's is as it was
    assert trained.report == json.loads((folder / "report.json").read_text())
    assert trained.report["examples"] == 24  # a fifth, as the config of digits has it
    assert [row["step"] for row in trained.history] == [3]  # 84 by 32
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert repr(trained).startswith("<accuracy 0.")
    net = cnn_jax.load(folder)
    assert (net.classes, net.preparation.image_shape) == (("a", "b", "c"), (8, 8, 3))
    with pytest.raises(UserError, match=r"data.name='given': this run got its dataset from Python"):
        net.evaluate()
    other = data.from_arrays(*arrays(count=150), classes=["a", "b", "c"])
    with pytest.raises(UserError, match=r"is not the data that workdir=.* was trained on: train"):
        cnn_jax.train_and_evaluate(config, folder, other, quiet=True)


def test_a_tilde_is_the_home_of_a_run(tmp_path, monkeypatch):
    """As it is of data and weights."""
    monkeypatch.setenv("HOME", str(tmp_path))
    places = []

    def training(config, folder, *_):
        places.append(folder)
        (tmp_path / "run/metrics.jsonl").write_text('{"epoch": 1.0, "protocol": "single_crop"}\n')
        return {"accuracy": 0.5, "split": "test"}

    (tmp_path / "run").mkdir()
    monkeypatch.setattr(python_runs.train, "train_and_evaluate", training)
    trained = cnn_jax.train_and_evaluate(tiny(), "~/run")
    assert (places, trained.workdir) == ([str(tmp_path / "run")], str(tmp_path / "run"))
    assert len(trained.history) == 1


def test_a_dataset_that_is_whole_is_taken_as_it_is():
    config = tiny()
    config.data.validation = 0.1
    dataset = data.load(config.data, source=data.from_arrays(*arrays()))
    other = tiny(size=32)
    found = python_runs.given(other, dataset)
    assert (found.name, dataset.name) == ("given", "digits")
    assert found.train is dataset.train
    own = other.data
    assert (own.name, own.image_size, own.channels, other.model.num_classes) == ("given", 8, 1, 0)


def test_a_wrong_value_is_said_before_the_data_is_read():
    config = tiny()
    config.batch_size = 0
    with pytest.raises(UserError, match="batch_size=0"):
        cnn_jax.train_and_evaluate(config, "never", object())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lenet55", "never"), "'lenet55' is no Python file"),
        ((3, "never"), "config=3: a ConfigDict or its name"),
        (("lenet5", ""), "workdir='': the name of a folder is wanted"),
        (("lenet5", None), "workdir=None: the name of a folder is wanted"),
        (
            ("lenet5", "never", arrays()),
            r"dataset: a tuple is no source of images: cnn_jax\.",
        ),
        (("lenet5", "never", "mnist"), "dataset: a str is no source of images"),
        (("lenet5:odd", "never"), "data.name='odd': a int is no source of images"),
    ],
)
def test_arguments_that_are_something_else(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sources, "REGISTERED", {"odd": lambda: 3})
    with pytest.raises(UserError, match=message):
        cnn_jax.train_and_evaluate(*arguments)
    assert not (tmp_path / "never").exists()
    with pytest.raises(UserError, match="a function that gives the source is wanted"):
        data.register("own", 3)


class OneLayer(nn.Module):
    num_classes: int = 10
    width: int = 4
    dtype: type | None = None

    @nn.compact
    def __call__(self, images, train: bool = False):
        x = nn.Conv(self.width, (3, 3))(images)
        return models.Output(nn.Dense(self.num_classes)(x.mean((1, 2))))


@pytest.mark.heavy
def test_nets_and_datasets_from_outside_are_named_in_a_config(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "REGISTERED", {})
    monkeypatch.setitem(models.REGISTRY, "one_layer", net := models.Net(OneLayer, {}, (8, 8, 1)))
    models.register("one_layer", net)  # as a cell that is run again
    data.register("noise", noise := lambda: data.from_arrays(*arrays(count=60, channels=1)))
    data.register("noise", noise)
    with pytest.raises(UserError, match=r"^the name 'noise' of a dataset is taken"):
        data.register("noise", lambda: noise())
    assert "noise" in data.names()
    config = tiny("mlp:noise")
    config.model = {"name": "one_layer", "num_classes": 0, "width": 5}
    trained = cnn_jax.train_and_evaluate(config, tmp_path, quiet=True)
    assert trained.report["dataset"] == "noise"
    net = cnn_jax.load(tmp_path)
    assert net.variables["params"]["Conv_0"]["kernel"].shape == (3, 3, 1, 5)
    assert net.evaluate()["accuracy"] == trained.report["accuracy"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("digits", "'digits' of a dataset is taken"),
        ("folder", "'folder' of a dataset is taken"),
        ("given", "'given' of a dataset is taken"),
        ("a:b", "'a:b' of a dataset: choose letters, digits and _"),
        (3, "the name 3 of a dataset: choose letters, digits and _"),
    ],
)
def test_names_of_datasets_that_cannot_be(name, message):
    with pytest.raises(UserError, match=message):
        data.register(name, arrays)
    assert name not in sources.REGISTERED


def test_splits_of_arrays_are_kept():
    images, labels = arrays()
    source = data.from_arrays(images, labels, test=(images[:7], labels[:7]))
    assert {name: rows.tolist() for name, rows in source.splits.items()} == {
        "train": [*range(120)],
        "test": [*range(120, 127)],
    }
    assert (source.images[120:] == images[:7]).all()
    assert (source.task.classes, source.labels.dtype) == (("0", "1", "2"), np.int32)
    grey = data.from_arrays(images[..., 0], labels)
    assert grey.images.shape == (120, 10, 12, 1)
    assert grey.splits is None


IMAGES, LABELS = arrays()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((IMAGES / 255, LABELS), r"images float64\[120, 10, 12, 3\]: uint8 \[N, H, W\], or"),
        ((IMAGES[..., :2], LABELS), r"uint8\[120, 10, 12, 2\]: .* 1 or 3 channels"),
        ((IMAGES, LABELS[1:]), r"labels int64\[119\] of 120 images: as many whole numbers"),
        ((IMAGES, LABELS / 2), r"labels float64\[120\]"),
        ((IMAGES, LABELS - 1), "labels from -1 to 1 do not fit"),
        ((IMAGES, LABELS, ["a", "b"]), "labels from 0 to 2 do not fit 2 classes"),
        ((IMAGES, LABELS, ["a", "b", "b"]), "name each once"),
        ((IMAGES, LABELS, ["caf\u00e9", "cafe\u0301", "b"]), "name each once"),
        ((IMAGES, LABELS, "abb"), "classes='abb': a list of names is wanted"),
        ((IMAGES, LABELS, 3), "classes=3: a list of names is wanted"),
        ((IMAGES, LABELS + 10**9), "a label is 1000000002: number the classes from 0, fewer than"),
        ((IMAGES, LABELS + 2**40), "a label is 1099511627778: number the classes from 0"),
        ((IMAGES[:, :0], LABELS), r"images uint8\[120, 0, 12, 3\]"),
        (([[1], [1, 2]], [0, 1]), "rows of one length are wanted"),
        ((IMAGES, LABELS, (), (IMAGES,)), r"validation: a pair \(images, labels\) is wanted"),
        ((IMAGES, LABELS, (), None, "test"), r"test: a pair \(images, labels\) is wanted"),
        ((IMAGES, LABELS, (), (IMAGES[:, :5], LABELS)), "images of one size are wanted"),
        ((IMAGES, LABELS, (), None, (IMAGES, LABELS[:1])), r"test: labels int64\[1\]"),
    ],
)
def test_arrays_that_are_no_labelled_images(arguments, message):
    with pytest.raises(UserError, match=message):
        data.from_arrays(*arguments)


def test_what_holds_data_says_what_it_is_in_a_line():
    source = data.from_arrays(*arrays())
    config = tiny().data
    config.validation = 0.1
    dataset = data.load(config, source=source)
    assert repr(source) == "<120 arrays (10, 12, 3) of 3 classes>"
    assert repr(dataset.test) == "<24 examples (8, 8, 1), in memory>"
    for thing in (source, dataset, dataset.train, dataset.task):
        assert len(repr(thing)) < 120


def test_hidden_bars_are_shown_again_after(capsys, monkeypatch):
    monkeypatch.setattr(progress, "LINE_SECONDS", -1.0)
    with progress.hidden():
        list(progress.track([1], "unseen"))
    list(progress.track([1], "seen"))
    assert "unseen" not in (error := capsys.readouterr().err)
    assert "seen: 100%" in error
