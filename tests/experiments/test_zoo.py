"""The measured chart of the zoo: its runs, rows, page and picture."""

import json

import pytest

from cnn_jax import models
from experiments import zoo
from experiments.runner import Cache


def test_every_net_has_a_run_by_the_one_recipe():
    configs = {net: zoo.job(net, 3).make_config() for net in zoo.NETS}
    assert set(zoo.NETS) <= set(models.names())
    for net, config in configs.items():
        assert (config.model.name, config.seed, config.data.split_seed) == (net, 3, 3)
        assert (config.data.name, config.data.image_size) == ("cifar10", zoo.SIDE)
        assert config.optimizer.learning_rate == 1e-3
    assert configs["googlenet"].loss.auxiliary_weights == (0.0, 0.0)
    assert len({zoo.job(net, 0).key for net in zoo.NETS}) == len(zoo.NETS)


def test_sizes_are_those_of_the_nets_at_32_pixels():
    assert zoo.sizes("perceptron") == (3072 * 10, 3072 * 10 + 10)
    assert zoo.sizes("lenet5")[1] == 61_706 + 2 * 6 * 25  # of three channels


def test_rows_are_of_nets_that_are_done_and_the_page_and_chart_of_the_rows(tmp_path):
    cache = Cache(tmp_path / "runs")
    size_of = {"lenet5": (700_000, 62_006), "perceptron": (30_720, 30_730), "mlp": (9, 9)}
    for net, accuracies in (("lenet5", (0.5, 0.6)), ("perceptron", (0.3, 0.3)), ("mlp", (0.4,))):
        for seed, accuracy in enumerate(accuracies):
            cache.keep(zoo.job(net, seed), {"report": {"accuracy": accuracy}, "seconds": 7.0})
    rows = zoo.rows_of(size_of, 2, cache, size_of)
    assert [row["net"] for row in rows] == ["perceptron", "lenet5"]
    assert rows[1]["accuracies"] == [50, 60]
    assert rows[1]["mean"] == pytest.approx(55)
    zoo.write(rows, tmp_path, "a machine")
    assert json.loads((tmp_path / "zoo.json").read_text())["nets"] == rows
    line = "| `lenet5` | 0.7 | 0.062 | 55.00 | 7.07 | 2 | 7 |"
    assert line in (tmp_path / "zoo.md").read_text()
    assert (tmp_path / "zoo.png").stat().st_size > 5000
