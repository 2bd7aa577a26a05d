"""An evaluation that has not seen every example once gives no figures."""

import numpy as np
import pytest

from cnn_jax.data.loading.loaders import eval_loader
from cnn_jax.training.experiment import make_experiment
from tests.support.tiny_config import get_config as tiny_config


@pytest.fixture(scope="module")
def experiment():
    config = tiny_config()
    config.devices = 1
    return make_experiment(config)


@pytest.mark.parametrize("batches", [[0, 1, 1], [0, 1], [1, 0, 2], [0, 1, 2, 2]])
def test_a_batch_that_is_lost_doubled_or_moved_is_refused(experiment, batches):
    evaluator = experiment.evaluator("test")
    evaluator.split = evaluator.split.take(np.arange(30))
    state = experiment.compiled.init().state
    whole = parts_of(experiment, evaluator.split)
    evaluator.batches = whole
    assert len(evaluator(state)["id"]) == 30
    evaluator.batches = [whole[i] for i in batches]
    with pytest.raises(RuntimeError, match="did not see every example once"):
        evaluator(state)


def parts_of(experiment, split):
    return list(eval_loader(split, experiment.devices, 10, experiment.read_options))
