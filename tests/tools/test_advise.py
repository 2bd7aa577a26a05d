"""The adviser measures every way, marks what the rule of thumb says, and keeps to its time."""

import numpy as np
import pytest

from cnn_jax import data, train
from cnn_jax.errors import UserError
from cnn_jax.tools import advise as tool
from configs.base import base


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Two hidden layers trained on the very digits, as similar as can be: (config, workdir)."""
    config = base("tiny", "digits", image_size=8)
    config.update({"epochs": 4.0, "batch_size": 64, "devices": 1, "log_every_steps": 0})
    config.model.update({"name": "mlp", "hidden": (32, 16), "norm": "batch"})
    folder = tmp_path_factory.mktemp("source") / "run"
    train.train_and_evaluate(config, folder)
    return config, str(folder)


@pytest.mark.slow
def test_every_way_is_tried(source, tmp_path):
    config, path = source
    config = config.copy_and_resolve_references()
    config.optimizer.learning_rate, config.epochs, config.batch_size = 3e-3, 2.0, 256
    found = tool.advise(config, (path, None), 600.0, tool.Counts(10), tmp_path / "cache")
    assert [row["way"] for row in found["tried"]] == list(tool.WAYS)
    assert not found["many"]
    assert found["per_class"] == 10
    rows = {row["way"]: row for row in found["tried"]}
    assert rows[tool.FEW]["trained"] < rows[tool.ALL]["trained"] == rows[tool.SCRATCH]["trained"]
    assert rows[tool.HIGH]["validation"] > rows[tool.SCRATCH]["validation"]
    assert rows[tool.SCRATCH]["note"] == "2.0 epochs, rate 0.003"
    assert rows[tool.ALL]["note"].endswith("rate 0.0003")
    assert found["rule"] == list(tool.RULE[False, found["similar"]])
    text = tool.as_text(found)
    assert sum(" *" in line[-2:] for line in text.splitlines()) == 1
    assert "the rule of thumb for few images (10 a class), " in text
    assert f"advice: {found['advice']}" in text


def test_the_advice_is_the_cheapest_that_is_as_good(source):
    config, path = source
    net = tool.trained_net(config, path, None)
    tried = [
        tool.Tried(tool.HIGH, 0.89, 0.9, 0.9, 10, 1.0),
        tool.Tried(tool.FEW, 0.93, 0.9, 0.9, 100, 20.0),
        tool.Tried(tool.ALL, 0.94, 0.9, 0.9, 1000, 30.0),
    ]
    found = tool.conclusion(net, tried, 100.0, True, True)  # 144 images: an error of 2 %
    assert (found["best"], found["advice"]) == (tool.ALL, tool.FEW)
    assert found["rule"] == [tool.FEW, tool.ALL]


def test_few_of_each_class(tiny):
    whole = data.load(tiny.data)
    dataset = tool.Counts(train=7).cut(whole, 0)
    assert np.bincount(dataset.train.labels).tolist() == [7] * 10
    assert (len(dataset.validation), len(dataset.test)) == (len(whole.validation), len(whole.test))
    dataset = tool.Counts(train=7, most=5).cut(whole, 0)
    for split in (dataset.train, dataset.validation, dataset.test):
        assert np.bincount(split.labels).tolist() == [5] * 10
    tiny.data.validation = 0.0
    with pytest.raises(UserError, match="name the weights"):
        tool.advise(tiny, (None, None), 1.0, tool.Counts(), None)
