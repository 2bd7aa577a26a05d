"""A run that goes on from each of its saves; and that the comparison sees what differs."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from cnn_jax import train
from cnn_jax.training.experiment import make_experiment
from tests.faults.resumes import RECIPES, Resumes, counts, of_net, recipe

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Six steps of a recipe with all that is saved beside the parameters."""
    folder = tmp_path_factory.mktemp("resumes")
    config = recipe("dropout, averaged weights, plateau", folder)
    config.epochs = 6 * config.batch_size / 1294
    config.eval_every_epochs = config.epochs / 2
    return Resumes(make_experiment(config), folder)


def test_every_save_but_the_last_is_gone_on_from(runs):
    assert runs.saves == [1, 2, 3, 4, 5, 6]
    assert runs.check_all() == 5


@pytest.mark.parametrize("part", ["order", "optimiser", "log"])
def test_the_comparison_is_not_blind(runs, monkeypatch, part):
    restore = train.Checkpoints.restore

    def other(self, step, abstract):
        restored = restore(self, step, abstract)
        if part == "log":
            restored.meta["progress"]["rows_bytes"] -= 1
        elif part == "optimiser":
            leaves, tree = jax.tree.flatten(restored.tree)
            largest = int(np.argmax([np.size(leaf) for leaf in leaves]))
            leaves[largest] = leaves[largest] * 1.000001
            restored = dataclasses.replace(restored, tree=jax.tree.unflatten(tree, leaves))
        else:
            restored.meta["progress"]["step"] -= 1
        return restored

    monkeypatch.setattr(train.Checkpoints, "restore", other)
    runs.begin(3)
    runs.train(runs.part)
    with pytest.raises(AssertionError, match="from step 3: another"):
        runs.check("from step 3")


def test_what_is_known_is_not_made_again(tmp_path):
    file = tmp_path / "verdicts"
    file.write_text(json.dumps(["mixup", 39]) + "\n")
    assert list(counts(["mixup"], None, file)) == [("mixup", 39)]


def test_every_recipe_and_net_is_a_config(tmp_path):
    epochs = {name: recipe(name, tmp_path / str(i)).epochs for i, name in enumerate(RECIPES)}
    assert set(epochs.values()) == {3.09}
    assert of_net("lenet5").data.image_size == 32
