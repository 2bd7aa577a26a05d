"""What a config leaves open is as the run has it, or the weights, or the net's name."""

import json

import pytest
from ml_collections import config_dict

from cnn_jax.runtime import workdir
from cnn_jax.training import open_values
from configs.base import base


@pytest.fixture
def config():
    config = base("test", "digits", image_size=8)
    config.model.name = "resnet18"
    config.model.pool1 = config_dict.placeholder(str)
    return config


def run_of(folder, **options):
    """A folder as a run leaves it, as far as its options are read."""
    (folder / "checkpoints" / "3").mkdir(parents=True)
    values = {"model.name": "resnet18", "data.name": "digits"}
    values |= {f"model.{key}": value for key, value in options.items()}
    (folder / workdir.CONFIG).write_text(json.dumps(values))
    return folder


def test_a_new_run_says_its_pool(config):
    open_values.complete(config)
    assert config.model.pool1 == "unpadded"
    assert config.optimizer.learning_rate == 1e-3
    config.model = {"name": "resnet50_v1_5"}  # without a key for it
    open_values.complete(config)
    assert config.model.pool1 == "padded"
    config.model = {"name": "lenet5"}
    open_values.complete(config)
    assert "pool1" not in config.model


@pytest.mark.parametrize(("said", "meant"), [({}, "padded"), ({"pool1": "unpadded"}, "unpadded")])
def test_a_run_goes_on_with_the_pool_that_it_had(config, tmp_path, monkeypatch, said, meant):
    """One of an earlier version says nothing: its pool was padded."""
    monkeypatch.setattr("cnn_jax.runtime.checkpoints.Checkpoints.is_empty", lambda self: False)
    folder = run_of(tmp_path / "run", **said)
    open_values.complete(config, folder)
    assert config.model.pool1 == meant
    there, here = workdir.read_config(folder), {"model.pool1": meant}
    assert "pool1" not in workdir.differences(there, here)
    other = {"model.pool1": {"padded": "unpadded", "unpadded": "padded"}[meant]}
    assert "model.pool1" in workdir.differences(there, other)


def test_what_begins_with_weights_has_their_form(config, tmp_path):
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "weights.json").write_text(json.dumps({"model": "resnet18"}))
    config.init["from"] = str(weights)
    open_values.complete(config)
    assert config.model.pool1 == "padded"  # of every port
    config.model.pool1 = "unpadded"
    open_values.complete(config)
    assert config.model.pool1 == "unpadded"  # as it is said
    config.model.pool1, config.init["from"] = None, str(run_of(tmp_path / "a", pool1="unpadded"))
    open_values.complete(config)
    assert config.model.pool1 == "unpadded"
    config.model.pool1, config.init["from"] = None, str(tmp_path / "nothing")
    open_values.complete(config)  # said when the weights are read
    assert config.model.pool1 == "unpadded"
    config.model = {"name": "resnet50_v2"}
    (weights / "weights.json").write_text(
        json.dumps({"model": "resnet50_v2", "options": {"stem": "pool_first", "stride_in": "3x3"}})
    )
    config.init["from"] = str(weights)
    open_values.complete(config)
    assert (config.model.stem, config.model.stride_in) == ("pool_first", "3x3")
