"""What claims measure on nets, against values worked by hand."""

import math
import os

import numpy as np
import pytest

from cnn_jax.runtime.checkpoints import Checkpoints
from experiments.probes import trained, untrained
from experiments.runner import Cache, Job, perform, perform_all


def test_calibration_error_by_hand():
    """Half of the answers with confidence 0.9 are right, all of those with 0.6: 0.4 and 0.4."""
    shares = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6]])
    assert trained.calibration_error(shares, np.array([0, 1, 1, 1])) == pytest.approx(0.4)
    assert trained.calibration_error(np.eye(2), np.array([0, 1])) == 0.0
    logits = np.log(shares)
    assert trained.softmax(logits) == pytest.approx(shares)
    expected = -math.log(0.9 * 0.1 * 0.6 * 0.6) / 4
    assert trained.negative_log_likelihood(logits, np.array([0, 1, 1, 1])) == pytest.approx(
        expected
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A perceptron after half an epoch of digits."""
    job = Job("perceptron:digits", {"epochs": 0.5, "eval_every_epochs": 0.5, "seed": 1})
    folder = tmp_path_factory.mktemp("probes") / "run"
    from cnn_jax.train import train_and_evaluate

    config = job.make_config()
    return config, folder, train_and_evaluate(config, str(folder))


def test_probes_read_the_last_weights(run):
    config, folder, report = run
    assert Checkpoints(folder, 2).latest_valid() is not None
    figures = trained.on_train(config, folder)
    assert figures["accuracy gap"] == pytest.approx(
        figures["train accuracy"] - 100 * report["accuracy"]
    )
    assert figures["loss gap"] == pytest.approx(report["loss"] - figures["train loss"])
    assert trained.calibration(config, folder)["log loss"] == pytest.approx(
        report["loss"], rel=1e-5
    )
    changed = trained.shifts(config, folder)
    assert 0 < changed["changed by 1 px"] <= changed["changed by 4 px"] <= 100


def test_a_run_is_performed_and_its_workdir_goes(tmp_path):
    job = Job(
        "perceptron:digits",
        {"epochs": 0.5, "eval_every_epochs": 0.5, "seed": 1, "data.split_seed": 1},
        "experiments.probes.untrained:parameters",
    )
    cache = Cache(tmp_path)
    record = perform(job, cache, "")
    assert cache.find(job) == record
    assert record["probe"] == {"parameters": 8 * 8 * 10 + 10}
    assert record["report"]["accuracy"] > 0.2
    assert record["evaluations"][-1]["step"] == record["steps"]
    assert record["validation_examples"] == 144
    assert not (cache.place(job) / "workdir").exists()


def test_a_diverged_run_is_said_to_be_one(tmp_path):
    changes = {"optimizer.name": "sgd", "optimizer.learning_rate": 1e30, "epochs": 0.5, "seed": 1}
    record = perform(Job("mlp:digits", changes), Cache(tmp_path), "")
    assert record["diverged"] is True


def test_shortcuts_carry_the_gradient_where_plain_blocks_lose_it():
    """Without BatchNorm; a residual net's blocks add up, so that its gradient does not shrink."""
    flow = {}
    for name in ("plain20_cifar", "resnet20_cifar"):
        changes = {"batch_size": 8, "data.image_size": 8, "model.name": name, "seed": 0}
        config = Job("resnet20_cifar:digits", changes | {"model.norm": "none"}).make_config()
        flow[name] = untrained.signal_flow(config, None)["first over last"]
    assert 0 < flow["plain20_cifar"] < flow["resnet20_cifar"]
    assert flow["resnet20_cifar"] > 1


@pytest.mark.slow
def test_jobs_go_to_processes_and_one_that_fails_leaves_the_others_going(tmp_path):
    probe = "experiments.probes.untrained:parameters"
    good = Job("perceptron:digits", {"seed": 0}, probe, trained=False)
    bad = Job("perceptron:digits", {"batch_size": 10**6}, probe, trained=False)
    cache = Cache(tmp_path)
    core = min(os.sched_getaffinity(0))
    records = [record for _, record in perform_all([bad, good], cache, "", [core], math.inf)]
    assert "batch_size=1000000" in records[0]["failed"]
    assert records[1]["probe"] == cache.find(good)["probe"] == {"parameters": 650.0}
    assert cache.find(bad) is None
    assert list(perform_all([good], cache, "", [core], -math.inf)) == []
