"""BatchNorm's statistics of a report: over training images of the trained net."""

import json

import jax
import numpy as np
import pytest

import cnn_jax
from cnn_jax import train
from cnn_jax.errors import UserError
from cnn_jax.runtime import statistics_file
from cnn_jax.training.evaluation import evaluate_only
from cnn_jax.training.experiment import make_experiment
from cnn_jax.training.population_statistics import (
    batch_moments,
    images_taken,
    population_statistics,
    replaced,
)


def recomputed(config, count):
    """(state, the state with other statistics, experiment) of a fresh net."""
    experiment = make_experiment(config)
    state = experiment.compiled.init().state
    arguments = experiment.step_spec, experiment.dataset.train, experiment.devices, count
    values = population_statistics(state, *arguments, config.batch_size, experiment.read_options)
    return state, replaced(state, values), experiment


@pytest.mark.heavy
def test_a_norm_that_is_held_keeps_its_own(tiny):
    experiment = make_experiment(tiny)
    variables = experiment.compiled.init().state.variables
    (path,) = variables["batch_stats"]
    images = experiment.step_spec.normalise(np.float32(experiment.dataset.train.images[:8]))
    for held, moved in ((frozenset(), True), (frozenset({path}), False)):
        stats = batch_moments(experiment.step_spec, variables, images, held)
        assert bool(np.any(stats[path]["mean"])) is moved


def test_they_are_mean_and_variance_over_the_images(tiny):
    """Of an MLP's one layer, whatever the batches, with dropout off and by NumPy."""
    tiny.batch_size = 64
    state, new, experiment = recomputed(tiny, 192)
    rows = np.random.default_rng(tiny.seed).permutation(len(experiment.dataset.train))[:192]
    images = np.float32(experiment.dataset.train.images[rows])
    inputs = np.float64(experiment.step_spec.normalise(images)).reshape(192, -1)
    (layer,) = [name for name in new.params if "kernel" in new.params[name]][:1]
    seen = inputs @ np.float64(new.params[layer]["kernel"])
    (norm,) = new.batch_stats.values()
    np.testing.assert_allclose(norm["mean"], seen.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm["var"], seen.var(0), rtol=1e-4)
    jax.tree.map(np.testing.assert_array_equal, new.params, state.params)


def test_whole_batches_and_no_more_than_there_are():
    assert [images_taken(count, 100, 32) for count in (0, 1, 64, 70, 1000)] == [0, 32, 64, 64, 96]


def test_averaged_weights_and_replicas_have_them_too(tiny):
    tiny.average_decay = 0.9
    tiny.parallel = "pmap"
    tiny.devices = 2
    _, new, _ = recomputed(tiny, 256)
    for stats in (new.batch_stats, new.ema_variables["batch_stats"]):
        for leaf in jax.tree.leaves(stats):
            assert leaf.shape[0] == 2
            np.testing.assert_array_equal(leaf[0], leaf[1])
            assert np.ptp(leaf) > 0


@pytest.mark.slow
def test_a_scanned_net_has_them_in_every_block(tiny):
    tiny.model = {"name": "resnet20_cifar", "num_classes": 10, "scan": True}
    state, new, _ = recomputed(tiny, 256)
    for before, after in zip(
        jax.tree.leaves(state.batch_stats), jax.tree.leaves(new.batch_stats), strict=True
    ):
        assert before.shape == after.shape
        assert (np.asarray(after) != np.asarray(before)).all()


def test_a_net_without_batchnorm_has_none(tiny):
    tiny.model.norm = "none"
    with pytest.raises(UserError, match="population_statistics=256: MLP has no BatchNorm"):
        recomputed(tiny, 256)
    tiny.population_statistics = 256
    with pytest.raises(UserError, match="population_statistics=256: MLP has no BatchNorm"):
        make_experiment(tiny)


@pytest.mark.heavy
def test_a_report_by_them_stands_beside_the_other(tiny, tmp_path):
    """Other figures in a folder of their own; the run's own report stays."""
    report = train.train_and_evaluate(tiny, tmp_path)
    assert "population_statistics" not in report
    own = (tmp_path / "report.json").read_bytes()
    tiny.population_statistics = 1_000
    other = evaluate_only(tiny, tmp_path)
    assert other["population_statistics"] == 768
    assert other["loss"] != report["loss"]
    assert (tmp_path / "report.json").read_bytes() == own
    place = tmp_path / "reports/test-single_crop-statistics_768/report.json"
    assert json.loads(place.read_text())["loss"] == other["loss"]


@pytest.mark.heavy
def test_what_loads_the_run_has_those_of_its_report(tiny, tmp_path):
    """And running means again where the file is of another step."""
    tiny.population_statistics = 512
    report = train.train_and_evaluate(tiny, tmp_path)
    loaded = cnn_jax.load(tmp_path)
    assert "population statistics" in loaded.source
    assert loaded.evaluate()["loss"] == pytest.approx(report["loss"], rel=1e-6)
    kept = statistics_file.read(tmp_path, report["step"])
    assert kept is not None
    assert statistics_file.read(tmp_path, report["step"] + 1) is None
    statistics_file.save(tmp_path, report["step"] + 1, kept)
    assert cnn_jax.load(tmp_path).evaluate()["loss"] != pytest.approx(report["loss"], rel=1e-6)


@pytest.mark.parametrize("content", [b"", b"no tensors", b"\xff" * 40])
def test_a_damaged_file_of_them_is_named(content, tmp_path):
    (tmp_path / statistics_file.FILE).write_bytes(content)
    with pytest.raises(UserError, match=r"population_statistics\.safetensors is damaged"):
        statistics_file.read(tmp_path, 1)
