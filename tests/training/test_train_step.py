"""The step over one and eight devices, in both modes, and what BatchNorm sees in each."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnn_jax import data
from cnn_jax.data.loading import sampler
from cnn_jax.errors import UserError
from cnn_jax.ops import flat_params
from cnn_jax.ops.flat_params import make_packing
from cnn_jax.runtime.sharding import Devices
from cnn_jax.training import metrics, step_loop
from cnn_jax.training.experiment import make_experiment
from cnn_jax.training.net import make_model
from cnn_jax.training.parameter_update import ParameterUpdate, unchanged
from cnn_jax.training.train_step import make_step_spec
from configs.base import base


def train(config, steps):
    """(per-step losses, state) of the first `steps` steps."""
    experiment = make_experiment(config)
    losses = []
    with experiment.step_loop(last_step=steps) as loop:
        for _ in loop:
            losses.append(float(loop.carry.metrics.loss.compute()))
            loop.carry = loop.carry._replace(metrics=experiment.compiled.empty_metrics())
    return losses, loop.carry.state


def change(config, **changes):
    config = config.copy_and_resolve_references()
    for key, value in changes.items():
        config.model[key] if key in config.model else config[key]
        (config.model if key in config.model else config)[key] = value
    return config


def assert_close(a, b, atol):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=atol, rtol=0), a, b)


@pytest.fixture
def plain(tiny):
    """Without BatchNorm and dropout, where all modes and device counts do the same sums."""
    return change(tiny, norm="none", dropout=0.0)


@pytest.mark.heavy
def test_eight_devices_have_the_losses_of_one(tiny):
    """With BatchNorm and dropout: in jit mode the devices change nothing but the order of sums.

    Pixels that are always black stay 0 here: BatchNorm takes any other constant out again, and Adam
    makes whole steps of the rounding that is left of such a gradient.
    """
    tiny.data.normalisation = "none"
    one, _ = train(change(tiny, devices=1), 6)
    eight, _ = train(change(tiny, devices=8), 6)
    np.testing.assert_allclose(one, eight, atol=1e-5)


@pytest.mark.heavy
def test_pmap_equals_jit_without_batchnorm(plain):
    jit_losses, jit_state = train(change(plain, devices=8), 6)
    pmap_losses, pmap_state = train(change(plain, devices=8, parallel="pmap"), 6)
    np.testing.assert_allclose(jit_losses, pmap_losses, atol=1e-5)
    assert_close(jit_state.params, pmap_state.params, atol=1e-5)


def first_layer_outputs(config):
    """What the first BatchNorm sees in the first step, [B, 16], by NumPy."""
    experiment = make_experiment(config)
    kernel = np.asarray(experiment.compiled.init().state.params["hidden1"]["kernel"], np.float64)
    rows = sampler.batch_rows(config.seed, 0, config.batch_size, len(experiment.dataset.train))
    pixels = experiment.dataset.train.images.astype(np.float64)
    mean, std = pixels.mean(), pixels.std()
    batch = ((pixels[rows] - mean) / std).reshape(len(rows), -1)
    return batch @ kernel


def test_jit_batchnorm_sees_the_global_batch(tiny):
    config = change(tiny, devices=8)
    outputs = first_layer_outputs(config)
    stats = train(config, 1)[1].batch_stats["norm1"]
    np.testing.assert_allclose(stats["mean"], 0.1 * outputs.mean(0), atol=1e-5)
    np.testing.assert_allclose(stats["var"], 0.9 + 0.1 * outputs.var(0), atol=1e-4)


@pytest.mark.heavy
def test_pmap_batchnorm_sees_its_own_images(tiny):
    config = change(tiny, devices=8, parallel="pmap")
    own = first_layer_outputs(config).reshape(8, -1, 16)
    stats = train(config, 1)[1].batch_stats["norm1"]
    assert stats["mean"].shape == (8, 16)
    np.testing.assert_allclose(stats["mean"], 0.1 * own.mean(1), atol=1e-5)
    np.testing.assert_allclose(stats["var"], 0.9 + 0.1 * own.var(1), atol=1e-4)


def test_pmap_evaluates_with_the_mean_of_the_statistics(tiny):
    experiment = make_experiment(change(tiny, devices=8, parallel="pmap"))
    state = experiment.compiled.init().state
    moved = jax.tree.map(lambda s: s + jnp.arange(8.0)[:, None], state.batch_stats)
    same = jax.tree.map(lambda s: jnp.broadcast_to(s.mean(0), s.shape), moved)
    evaluator = experiment.evaluator("test")
    a, b = evaluator(state.replace(batch_stats=moved)), evaluator(state.replace(batch_stats=same))
    np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-6)


@pytest.mark.heavy
def test_accumulated_gradients_equal_the_whole_batch(plain):
    whole, state = train(plain, 4)
    parts, other = train(change(plain, accumulate=4), 4)
    np.testing.assert_allclose(whole, parts, atol=1e-5)
    assert_close(state.params, other.params, atol=1e-5)
    eight, _ = train(change(plain, accumulate=4, devices=8), 4)
    np.testing.assert_allclose(whole, eight, atol=1e-5)


@pytest.mark.heavy
def test_accumulated_gradient_is_that_of_one_big_batch(plain):
    """To 1e-6 of its norm, at any number of parts."""
    found = []
    for parts in (1, 2, 8, 64):
        config = change(plain, accumulate=parts)
        config.optimizer.name, config.optimizer.learning_rate = "sgd", 1.0
        config.schedule.name = "constant"
        experiment = make_experiment(config)
        start = jax.device_get(experiment.compiled.init().state.params)
        with experiment.step_loop(last_step=1) as steps:
            next(steps)
        found.append(optax.tree.sub(jax.device_get(steps.carry.state.params), start))
    whole = optax.tree.norm(found[0])
    for other in found[1:]:
        assert optax.tree.norm(optax.tree.sub(other, found[0])) < 1e-6 * whole


def test_average_of_the_weights_by_hand(plain):
    config = change(plain, average_decay=0.5)
    experiment = make_experiment(config)
    carry = experiment.compiled.init()
    loader = experiment.train_loader()
    expected = np.asarray(carry.state.params["output"]["kernel"], np.float64)
    for step in range(4):
        carry, _ = experiment.compiled.train_steps(0)(carry, loader.batch_at(step), 1)
        decay = min(0.5, (1 + step) / (10 + step))
        new = np.asarray(carry.state.params["output"]["kernel"])
        expected = decay * expected + (1 - decay) * new
    found = carry.state.variables["params"]["output"]["kernel"]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert not np.allclose(found, new, atol=1e-4)


@pytest.mark.parametrize(
    ("optimizer", "scan", "parallel", "joined"),
    [
        ("adam", True, "jit", "all"),
        ("adam", False, "jit", "small"),
        ("adam", False, "elastic", "none"),
        *((name, True, "jit", "none") for name in ("lars", "lamb", "muon")),
    ],
)
def test_steps_of_whole_tensors_are_not_made_of_joined_ones(
    tiny, optimizer, scan, parallel, joined
):
    """A scanned net's parameters lie in one vector, whose norm is none of a kernel's."""
    tiny.model = {"name": "resnet20_cifar", "num_classes": 10, "scan": scan}
    tiny.optimizer.name, tiny.parallel = optimizer, parallel
    model = make_model(tiny, 10)
    spec = make_step_spec(tiny, model, data.load(tiny.data), optax.constant_schedule(0.1))
    assert spec.update.joined == joined


def test_schedule_free_is_evaluated_with_its_mean(plain):
    config = change(plain)
    config.optimizer.name, config.schedule.name = "schedule_free", "constant"
    _, state = train(config, 3)
    (inner,) = state.opt_state
    expected = (state.params["output"]["kernel"] - 0.1 * inner.z["output"]["kernel"]) / 0.9
    found = state.variables["params"]["output"]["kernel"]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert not np.allclose(found, state.params["output"]["kernel"], atol=1e-4)


@pytest.mark.heavy
def test_bfloat16_computes_low_and_keeps_parameters_high(tiny):
    low, state = train(change(tiny, dtype="bfloat16"), 4)
    high, _ = train(tiny, 4)
    leaves = jax.tree.leaves((state.params, state.batch_stats, state.opt_state))
    assert {leaf.dtype for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)} == {
        jnp.dtype("float32")
    }
    assert low != high
    np.testing.assert_allclose(low, high, atol=0.05)


def test_the_second_step_compiles_nothing(tiny):
    experiment = make_experiment(tiny)
    loader = experiment.train_loader()
    carry, _ = experiment.compiled.train_steps(0)(experiment.compiled.init(), loader.batch_at(0), 1)
    experiment.compiled.empty_metrics()
    events = []
    jax.monitoring.register_event_duration_secs_listener(lambda name, *_, **__: events.append(name))
    carry = carry._replace(metrics=experiment.compiled.empty_metrics())
    for step in range(1, 12):  # into the third epoch
        carry, _ = experiment.compiled.train_steps(0)(carry, loader.batch_at(step), 1)
    carry.state.step.block_until_ready()
    assert not [name for name in events if "compile" in name]
    jax.jit(lambda x: x + 1)(1)
    assert [name for name in events if "compile" in name], "the listener hears nothing"


def test_a_program_is_compiled_once_and_what_that_took_given_back_before_it_runs(
    tiny, monkeypatch, caplog
):
    experiment, given_back = make_experiment(change(tiny, devices=1)), []
    note = lambda: given_back.append(int(loop.carry.state.step))  # noqa: E731
    monkeypatch.setattr(step_loop, "give_freed_memory_back", note)
    with experiment.step_loop(last_step=3) as loop, jax.log_compiles():
        steps = list(loop)
    compiled = [r for r in caplog.records if "Finished XLA compilation" in r.getMessage()]
    of_steps = [record for record in compiled if "train_steps" in record.getMessage()]
    assert steps[-1] == 3
    assert given_back[0] == 0  # before the first update
    assert len(of_steps) == len(given_back)


@pytest.mark.heavy
def test_steps_in_one_call_are_the_same_steps(tiny):
    """In threes and fives to the bit; one by one, another program, to rounding."""

    def after_fifteen(limit, count):
        experiment = make_experiment(change(tiny, steps_per_dispatch=limit))
        loader, carry = experiment.train_loader(), experiment.compiled.init()
        for step in range(0, 15, count):
            carry, _ = experiment.compiled.train_steps(step)(carry, loader.batch_at(step), count)
        assert int(carry.state.step) == 15
        return jax.device_get(
            (carry.state.params, carry.state.opt_state, jax.tree.leaves(carry.metrics))
        )

    threes, fives = after_fifteen(5, 3), after_fifteen(5, 5)
    jax.tree.map(np.testing.assert_array_equal, threes, fives)
    assert_close(after_fifteen(1, 1)[0], threes[0], atol=1e-4)


def test_a_plateau_scales_the_update(plain):
    plain.schedule.name, plain.optimizer.name = "plateau", "sgd"
    experiment = make_experiment(plain)
    loader = experiment.train_loader()

    def moved_by(scale):
        carry = experiment.compiled.init()
        state = carry.state
        before = jax.device_get(state.params)
        plateau = state.lr_plateau_state._replace(scale=jnp.float32(scale))
        carry = carry._replace(state=state.replace(lr_plateau_state=plateau))
        (state, _), _ = experiment.compiled.train_steps(0)(carry, loader.batch_at(0), 1)
        return optax.tree.sub(jax.device_get(state.params), before)

    assert_close(jax.tree.map(lambda u: u * 0.25, moved_by(1.0)), moved_by(0.25), atol=1e-7)


@pytest.mark.parametrize("devices", [1, 8])
@pytest.mark.parametrize("batch", [1, 100, 128, 5000])
def test_evaluation_counts_every_example_once(tiny, devices, batch):
    """1,003 examples, no multiple of anything: the accuracy is NumPy's, exactly."""
    config = change(tiny, devices=devices, eval_batch_size=batch)
    config.data.update({"test": 1003.0, "validation": 100.0})
    config.batch_size = 128
    if batch == 1 and devices == 1:
        pytest.skip("a thousand batches of one are tested on eight devices only")
    experiment = make_experiment(config)
    state = experiment.compiled.init().state
    found = experiment.evaluator("test")(state)
    assert len(found["label"]) == 1003
    assert found["id"].tolist() == experiment.dataset.test.ids.tolist()
    assert found["label"].tolist() == experiment.dataset.test.labels.tolist()
    pixels = experiment.dataset.train.images.astype(np.float64)
    x = (experiment.dataset.test.images - pixels.mean()) / pixels.std()
    params = jax.device_get(state.params)
    h = x.reshape(1003, -1) @ params["hidden1"]["kernel"] / np.sqrt(1 + 1e-5)
    logits = np.maximum(h, 0) @ params["output"]["kernel"] + params["output"]["bias"]
    expected = np.mean(logits.argmax(-1) == experiment.dataset.test.labels)
    assert metrics.summarise(experiment.dataset.task, found)["accuracy"] == expected


def test_a_batch_must_divide_over_the_devices():
    with pytest.raises(
        UserError, match=r"batch_size=100 does not divide over 8 devices; choose batch_size=104"
    ):
        Devices.create("jit").check_batch(100, 1)
    with pytest.raises(
        UserError, match=r"over 8 devices x accumulate=4 parts; choose batch_size=128"
    ):
        Devices.create("jit").check_batch(100, 4)
    with pytest.raises(UserError, match=r"devices=9, but there are 8"):
        Devices.create("jit", 9)
    with pytest.raises(UserError, match=r"parallel='pmpa' is unknown \(did you mean 'pmap'"):
        Devices.create("pmpa")


@pytest.mark.slow
def test_blocks_in_a_loop_are_updated_in_one_piece_to_the_same_weights(monkeypatch):
    config = base("looped", "digits", image_size=8)
    config.update({"batch_size": 64, "devices": 1, "average_decay": 0.9, "clip_norm": 1.0})
    config.model.update({"name": "resnet32_cifar", "scan": True})
    config.optimizer.update({"name": "momentum", "weight_decay": 1e-3})
    packed = []
    monkeypatch.setattr(
        flat_params, "make_packing", lambda *args: packed.append(args) or make_packing(*args)
    )
    losses, together = train(config, 3)
    assert packed
    monkeypatch.setattr(ParameterUpdate, "_packing", lambda *_: (unchanged, unchanged))
    same, alone = train(config, 3)
    np.testing.assert_allclose(losses, same, rtol=1e-5)
    assert jax.tree.structure(together) == jax.tree.structure(alone)
    assert_close(together, alone, atol=1e-5)
