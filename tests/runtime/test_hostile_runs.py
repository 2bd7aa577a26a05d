"""What a run's files, or those of weights, may hold: anything else is said in one line."""

import json

import jax
import numpy as np
import pytest

from cnn_jax.errors import UserError
from cnn_jax.runtime.checkpoints import Checkpoints
from cnn_jax.runtime.checksums import write_checksums
from cnn_jax.runtime.config_files import config_of_values
from cnn_jax.training.task_file import read_task
from cnn_jax.transfer.initial_weights import valid_step
from cnn_jax.transfer.weights import as_trees, load_weights, save_weights

TREE = {"kernel": np.ones((2, 3), np.float32)}


@pytest.fixture
def saved(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        progress = {"step": step, "best_step": step}
        checkpoints.save(step, TREE, {"progress": progress}, best=step)
    checkpoints.close()
    return Checkpoints(tmp_path)


@pytest.mark.parametrize("text", ["[" * 100_000 + "]" * 100_000, "[]", "{", "null"])
def test_a_save_whose_meta_is_none_is_set_aside(saved, text, capsys):
    """Its hashes agree: whoever wrote it wrote them too."""
    (saved.path(2) / "meta/metadata").write_text(text)
    write_checksums(saved.path(2))
    assert valid_step(saved, "init.from") == 1
    assert saved.latest_valid() == 1
    assert "meta is not what a save holds" in capsys.readouterr().err


def test_a_save_that_orbax_cannot_read_is_a_line(saved):
    (saved.path(2) / "state/_METADATA").write_text("{}")
    write_checksums(saved.path(2))
    with pytest.raises(UserError, match=r"00000002 cannot be read \(KeyError: .*remove it, and"):
        saved.read(2)
    with pytest.raises(UserError, match=r"00000001 cannot be read \(\w+Error: "):
        saved.restore(1, {"other": jax.ShapeDtypeStruct((5,), "float32")})


def test_what_the_system_refuses_is_no_fault_of_a_save(saved):
    """The advice to remove it is for what cannot be read at all."""
    with pytest.raises(PermissionError), saved.reading(2):
        raise PermissionError(13, "Permission denied", "00000002/state")


def test_a_name_in_a_save_is_shown_and_not_obeyed(saved, capsys):
    (saved.path(2) / "a\x1b[2Jb").touch()
    assert saved.latest_valid() == 1
    assert r"a\x1b[2Jb is not one of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optimizer.momentum", "0.9"),
        ("optimizer.name", 3),
        ("augment", "flip"),
        ("data", "digits"),
        ("batch_size", [8]),
        ("data.skip_bad", 2),
        ("epochs", True),
    ],
)
def test_a_value_of_another_kind_is_refused(key, value):
    flat = {"name": "x", "data.name": "digits", "data.image_size": 8}
    config_of_values(flat | {"epochs": 3, "augment": ["flip"], "optimizer.momentum": 0})
    with pytest.raises(TypeError, match=rf"^{key}=.* stands for"):
        config_of_values(flat | {key: value})


@pytest.mark.parametrize(
    "record",
    [
        {"task": {"kind": "classification", "classes": ["a"]}, "image_shape": [8, 8, -1]},
        {"task": {"kind": "classification", "classes": ["a"]}, "image_shape": [8, "8", 1]},
        {"task": {"kind": "classification", "classes": [["a"]]}, "image_shape": [8, 8, 1]},
        {"task": [], "image_shape": [8, 8, 1]},
    ],
)
def test_data_json_of_other_values(tmp_path, record):
    (tmp_path / "data.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match="does not say the task"):
        read_task(tmp_path)


@pytest.mark.parametrize("name", ["params", "kernel", "params/a/b", "", "other/a/b", "params//b"])
def test_tensors_whose_names_are_none(tmp_path, name):
    """None of a collection, or the folder of another."""
    tensors = {name: np.ones(2), "params/a/b/kernel": np.ones(2)}
    with pytest.raises(UserError, match=r"holds a tensor '.*', which has no place"):
        as_trees(tmp_path / "weights.safetensors", tensors)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_classes", "ten"),
        ("classes", [1]),
        ("preprocessing", {"image_size": "8"}),
        ("model", 3),
    ],
)
def test_a_description_of_other_values(tmp_path, key, value):
    save_weights(tmp_path, {"a": {"kernel": np.ones(2)}}, {}, {"model": "mlp"})
    assert load_weights(tmp_path)[2]["model"] == "mlp"
    values = json.loads((tmp_path / "weights.json").read_text())
    (tmp_path / "weights.json").write_text(json.dumps(values | {key: value}))
    with pytest.raises(UserError, match=rf"is damaged \('{key}"):
        load_weights(tmp_path)
