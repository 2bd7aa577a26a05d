"""The adviser measures every way, marks what the rule of thumb says, and keeps to its time."""

import dataclasses

import numpy as np
import pytest

from cnn_jax import data, train
from cnn_jax.analysis import transfer_advice as advice
from cnn_jax.analysis.trained_net import load_trained_net
from cnn_jax.errors import UserError
from cnn_jax.tools.advise import format_advice
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
    result = advice.advise(config, (path, None), 600.0, advice.ImageCounts(10), tmp_path / "cache")
    assert [row["way"] for row in result["tried"]] == list(advice.WAYS)
    assert not result["many"]
    assert result["per_class"] == 10
    rows = {row["way"]: row for row in result["tried"]}
    assert (
        rows[advice.FEW]["trained"] < rows[advice.ALL]["trained"] == rows[advice.SCRATCH]["trained"]
    )
    assert rows[advice.HIGH]["validation"] > rows[advice.SCRATCH]["validation"]
    assert rows[advice.SCRATCH]["note"] == "2.0 epochs, rate 0.003"
    assert rows[advice.ALL]["note"].endswith("rate 0.0003")
    assert result["rule"] == list(advice.RULE[False, result["similar"]])
    text = format_advice(result)
    assert sum(" *" in line[-2:] for line in text.splitlines()) == 1
    assert "the rule of thumb for few images (10 a class), " in text
    assert f"advice: {result['advice']}" in text


@pytest.mark.heavy
def test_the_advice_is_the_cheapest_that_is_as_good(source):
    config, path = source
    net = load_trained_net(config, path, None)
    trials = [
        advice.Trial(advice.HIGH, 0.89, 0.9, 0.9, 10, 1.0),
        advice.Trial(advice.FEW, 0.93, 0.9, 0.9, 100, 20.0),
        advice.Trial(advice.ALL, 0.94, 0.9, 0.9, 1000, 30.0),
    ]
    result = advice.conclude(net, trials, 100.0, True, True)  # 144 images: an error of 2 %
    assert (result["best"], result["advice"]) == (advice.ALL, advice.FEW)
    assert result["rule"] == [advice.FEW, advice.ALL]
    assert not result["few_decide"]  # to within 4 % of 144
    text = format_advice(result)
    assert " 94.00% ±4.0%  90.00% ±3.1% " in text
    assert "validation images decide" not in text


def test_a_dozen_images_that_decide_are_said(source):
    config, path = source
    net = load_trained_net(config, path, None)
    few = net.experiment.dataset.validation.take(np.arange(12))
    dataset = dataclasses.replace(net.experiment.dataset, validation=few)
    experiment = dataclasses.replace(net.experiment, dataset=dataset)
    trials = [
        advice.Trial(advice.HIGH, 11 / 12, 0.9, 0.9, 10, 1.0),
        advice.Trial(advice.ALL, 1.0, 0.9, 0.9, 1000, 30.0),
    ]
    net = dataclasses.replace(net, experiment=experiment)
    result = advice.conclude(net, trials, 10.0, False, True)
    assert result["few_decide"]
    assert result["advice"] == advice.ALL
    assert result["standard_error"] == 0.0385  # 1 / 26: not 0, though all of 12 were right
    assert "only 12 validation images decide: " in format_advice(result)


def test_few_of_each_class(tiny):
    whole = data.load(tiny.data)
    dataset = advice.ImageCounts(train=7).limit(whole, 0)
    assert np.bincount(dataset.train.labels).tolist() == [7] * 10
    assert (len(dataset.validation), len(dataset.test)) == (len(whole.validation), len(whole.test))
    dataset = advice.ImageCounts(train=7, most=5).limit(whole, 0)
    for split in (dataset.train, dataset.validation, dataset.test):
        assert np.bincount(split.labels).tolist() == [5] * 10
    tiny.data.validation = 0.0
    with pytest.raises(UserError, match="name the weights"):
        advice.advise(tiny, (None, None), 1.0, advice.ImageCounts(), None)
