"""Gradient flow: figures against a net worked out by hand, and nothing of it when it is off."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from cnn_jax import train
from cnn_jax.data.loading.device_dataset import BatchSource
from cnn_jax.runtime.flow_log import FlowLog, read_flow
from cnn_jax.training.experiment import make_experiment
from cnn_jax.training.gradient_flow import GradientFlow


@pytest.mark.heavy
def test_figures_are_those_by_hand(tiny):
    """A dense net of one hidden layer of ReLU, one unit of which is dead by its bias."""
    tiny.model.update({"norm": "none", "dropout": 0.0, "activation": "relu"})
    experiment = make_experiment(tiny)
    state = experiment.compiled.init().state
    params = jax.tree.map(np.array, state.params)
    params["hidden1"]["bias"][3] = -1e6
    flow = GradientFlow(experiment)
    found = flow(state.replace(params=jax.tree.map(jnp.asarray, params)))
    assert list(found) == ["hidden1", "output"]
    assert "activation" not in found["output"]

    train_split = experiment.dataset.train
    images = np.stack([train_split.images[i] for i in range(64)]).astype(np.float32)
    x = np.asarray(experiment.step_spec.normalise(jnp.asarray(images))).reshape(64, -1)
    x = np.float64(x)
    h = np.maximum(x @ params["hidden1"]["kernel"] + params["hidden1"]["bias"], 0)
    logits = h @ params["output"]["kernel"] + params["output"]["bias"]
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    p[np.arange(64), train_split.labels[:64]] -= 1
    back = p / 64
    outer = [h.T @ back, back.sum(0)]
    inner = (back @ params["output"]["kernel"].T) * (h > 0)
    inner = [x.T @ inner, inner.sum(0)]
    for stage, tensors in (("hidden1", inner), ("output", outer)):
        values = np.abs(np.concatenate([t.ravel() for t in tensors]))
        own = found[stage]["gradient"]
        assert own["norm"] == pytest.approx(np.sqrt((values**2).sum()), rel=1e-4)
        weights = np.concatenate([np.ravel(leaf) for leaf in params[stage].values()])
        assert own["weights"] == pytest.approx(np.linalg.norm(np.float64(weights)), rel=1e-4)
        expected = np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95])
        np.testing.assert_allclose(own["quantiles"], expected, rtol=1e-3, atol=1e-9)
    figures = found["hidden1"]["activation"]
    dead = int((h == 0).all(0).sum())
    assert (h[:, 3] == 0).all()
    assert (figures["dead"], figures["units"]) == (dead, 16)
    assert dead < 16
    assert figures["mean"] == pytest.approx(h.mean(), rel=1e-4)
    assert figures["std"] == pytest.approx(h.std(), rel=1e-4)


@pytest.mark.heavy
def test_off_and_on_train_the_same_bits(tiny, tmp_path):
    """The figures, the weights and the very program of a step."""
    states, programs = [], []
    for every in (0, 2):
        tiny.log_flow = every
        folder = tmp_path / str(every)
        train.train_and_evaluate(tiny, folder)
        states.append((folder / "metrics.jsonl").read_bytes())
        experiment = make_experiment(tiny)
        source = experiment.train_loader().batch_at(0)
        assert isinstance(source, BatchSource)
        steps = experiment.compiled.phases[0]
        programs.append(steps.lower(experiment.compiled.abstract, source, 1).as_text())
    assert states[0] == states[1]
    assert programs[0] == programs[1]
    assert not (tmp_path / "0/flow.jsonl").exists()
    rows = read_flow(tmp_path / "2")
    assert [row["step"] for row in rows] == [2, 4, 6, 8, 10]
    assert rows[0]["stages"].keys() == {"hidden1", "norm1", "output"}
    assert (tmp_path / "2/flow.png").stat().st_size > 5000


def test_rows_after_the_checkpoint_are_written_again(tmp_path):
    for step in (2, 4, 6):
        FlowLog(tmp_path, step).write({"step": step, "stages": {}})
    with open(tmp_path / "flow.jsonl", "a") as stream:
        stream.write('{"step": 8, "sta')  # cut off by a kill
    FlowLog(tmp_path, 4).write({"step": 6, "stages": {}, "again": True})
    lines = (tmp_path / "flow.jsonl").read_text().splitlines()
    assert list(map(json.loads, lines)) == [
        {"step": 2, "stages": {}},
        {"step": 4, "stages": {}},
        {"step": 6, "stages": {}, "again": True},
    ]
    FlowLog(tmp_path, 0)
    assert read_flow(tmp_path) == []


@pytest.mark.heavy
def test_replicas_and_blocks_are_measured_too(tiny):
    """Statistics of several replicas, and a net whose stages hold several non-linearities."""
    tiny.parallel, tiny.devices, tiny.batch_size = "pmap", 2, 8
    tiny.data.image_size = 16
    tiny.model = ConfigDict()
    tiny.model.update({"name": "plain20_cifar", "num_classes": 10, "scan": True})
    experiment = make_experiment(tiny)
    found = GradientFlow(experiment)(experiment.compiled.init().state)
    assert list(found) == ["conv1", "layer1", "layer2", "layer3", "fc"]
    assert found["layer1"]["activation"]["units"] == 6 * 16
    assert found["layer3"]["activation"]["units"] == 6 * 64
    assert found["fc"]["gradient"]["norm"] > 0
