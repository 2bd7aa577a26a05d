"""The measured chart of the zoo: its runs, rows, page and picture."""

import json

import pytest

from cnn_jax import models
from cnn_jax.errors import UserError
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


def test_runs_of_a_file_are_gone_on_with_seed_by_seed(tmp_path):
    cache, path = Cache(tmp_path / "runs"), tmp_path / "zoo.json"
    assert zoo.kept_runs(path) == {}
    for seed, accuracy in ((1, 0.5), (2, 0.6)):  # seed 0 is missing here
        record = {"report": {"accuracy": accuracy}, "seconds": 7.04}
        cache.keep(zoo.job("lenet5", seed), record)
    assert zoo.with_new_runs("lenet5", [], 3, cache, "here") == []
    elsewhere = {"accuracy": 46.0, "seconds": 4.0, "machine": "elsewhere"}
    runs = zoo.with_new_runs("lenet5", [elsewhere], 3, cache, "here")
    assert [run["accuracy"] for run in runs] == [46, 50, 60]
    assert runs[1] == {"accuracy": 50, "seconds": 7.0, "machine": "here"}
    assert zoo.with_new_runs("lenet5", [elsewhere], 2, cache, "here") == runs[:2]
    assert zoo.with_new_runs("lenet5", runs, 1, cache, "here") == runs
    zoo.write({"lenet5": runs, "mlp": [], "perceptron": [elsewhere]}, tmp_path)
    assert zoo.kept_runs(path) == {"perceptron": [elsewhere], "lenet5": runs}
    page = (tmp_path / "zoo.md").read_text()
    assert "| `lenet5` | 0.652 | 0.062 | 52.00 | 7.21 | 3 | 6 |" in page
    assert "| `perceptron` | 0.0307 | 0.0307 | 46.00 | - | 1 | 4 |" in page
    assert "- perceptron, lenet5: elsewhere\n- lenet5: here\n" in page
    assert (tmp_path / "zoo.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("4 epochs", "5 epochs"), "is of another recipe, '15,000 .*5 ep"),
        (lambda text: text[:-20], "holds no runs of this program: move it away"),
        (lambda text: text.replace('"runs"', '"accuracies"'), "holds no runs"),
        (lambda text: text.replace('"seconds"', '"minutes"'), "holds no runs"),
        (lambda text: "[]", "holds no runs"),
    ],
)
def test_a_file_of_other_runs_is_said_and_left_alone(change, message, tmp_path):
    path = tmp_path / "zoo.json"
    run = {"accuracy": 46.0, "seconds": 4.0, "machine": "elsewhere"}
    zoo.write({"perceptron": [run]}, tmp_path)
    path.write_text(change(path.read_text()))
    with pytest.raises(UserError, match=message):
        zoo.kept_runs(path)


def test_the_committed_page_is_that_of_the_committed_figures():
    figures = json.loads((zoo.FOLDER / "zoo.json").read_text())
    assert figures["recipe"] == zoo.RECIPE_IN_WORDS
    assert (zoo.FOLDER / "zoo.md").read_text() == zoo.table(figures["nets"])
