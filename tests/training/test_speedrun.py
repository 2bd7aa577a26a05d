"""The parts of the speed run against the author's own arithmetic, by NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data.dataset import Split
from cnn_jax.data.loading.loaders import DeviceLoader
from cnn_jax.data.loading.sampler import TrainSampler
from cnn_jax.data.loading.stream import BatchReader
from cnn_jax.errors import UserError
from cnn_jax.runtime.clock import Clock
from cnn_jax.runtime.sharding import Devices
from cnn_jax.training import config_checks, optimizers
from cnn_jax.training.dataset_checks import transfer_warnings
from cnn_jax.training.lookahead import make_lookahead
from cnn_jax.training.net import make_model
from cnn_jax.transfer.freezing import make_freeze_plan
from cnn_jax.transfer.whitening import EPSILON, whitening_values
from configs import speedrun

EXAMPLES, BATCH = 50_000, 1024
KILOSTEP = 1024 * (1 + 1 / (1 - 0.85))  # of airbench94.py


def clock_of(config, examples=EXAMPLES):
    return Clock(examples, config.batch_size, config.epochs)


def test_the_kernel_whitens_the_patches():
    images = np.random.RandomState(0).randint(0, 256, (6, 7, 5, 2)).astype(np.uint8)
    normalise = lambda x: (x - 100.0) / 50  # noqa: E731
    shapes = {"params/conv/kernel": (3, 3, 2, 36), "params/whiten/kernel": (2, 2, 2, 16)}
    kernel = whitening_values("whiten", images, normalise, shapes)["params/whiten/kernel"]
    x = normalise(images.astype(np.float64))
    rows = [
        x[n, i : i + 2, j : j + 2].ravel() for n in range(6) for i in range(6) for j in range(4)
    ]
    patches = np.stack(rows)
    values, vectors = np.linalg.eigh(patches.T @ patches / len(patches))
    flat = kernel.reshape(8, 16).astype(np.float64)
    assert kernel.shape == (2, 2, 2, 16)
    np.testing.assert_array_equal(flat[:, 8:], -flat[:, :8])
    cosines = np.abs((flat[:, :8] / np.linalg.norm(flat[:, :8], axis=0)).T @ vectors[:, ::-1])
    np.testing.assert_allclose(cosines, np.eye(8), atol=1e-5)
    lengths = np.linalg.norm(flat[:, :8], axis=0)
    np.testing.assert_allclose(lengths, 1 / np.sqrt(values[::-1] + EPSILON), rtol=1e-5)
    white = patches @ flat[:, :8]
    wanted = np.diag(values[::-1] / (values[::-1] + EPSILON))
    np.testing.assert_allclose(white.T @ white / len(white), wanted, atol=1e-5)
    with pytest.raises(UserError, match=r"init.whiten='fc' is no .*choose conv or whiten"):
        whitening_values("fc", images, normalise, shapes)


def test_the_rate_is_the_authors_triangle():
    config = speedrun.get_config("94:cifar10")
    schedule = optimizers.make_schedule(config, clock_of(config))
    total, peak = 484, 112
    xs = np.arange(total)
    wanted = np.interp(xs, [0, peak, total], [0.2, 1, 0.07]) * 11.5 / KILOSTEP * BATCH
    np.testing.assert_allclose(jax.vmap(schedule)(xs), wanted, rtol=2e-5)
    assert clock_of(config).total_steps == total


def test_updates_are_torchs_of_the_sum_of_the_losses():
    """Rates and decays of airbench94.py: lr and 64 lr, wd / lr and wd / (64 lr), Nesterov."""
    config = speedrun.get_config("94:cifar10")
    rate, momentum = 11.5 / KILOSTEP, 0.85
    decay = 0.0153 * BATCH / KILOSTEP
    params = {"kernel": np.ones((2, 2)), "norm": np.full(3, 0.5), "whiten": np.full(2, 2.0)}
    rates, stops = {"norm": 64.0}, {"whiten": 2}
    tree = {name: jnp.asarray(value, jnp.float32) for name, value in params.items()}
    rule = optimizers.make_optimizer(config, lambda step: 1.5, rates=rates, stops=stops)
    state, buffers = rule.init(tree), {name: 0.0 for name in params}
    random = np.random.RandomState(0)
    for step in range(4):
        gradients = {name: random.randn(*value.shape) for name, value in params.items()}
        given = {name: jnp.asarray(g, jnp.float32) for name, g in gradients.items()}
        updates, state = rule.update(given, state, tree)
        tree = jax.tree.map(jnp.add, tree, updates)
        for name, gradient in gradients.items():
            own = rate * rates.get(name, 1.0)
            total = BATCH * gradient + decay / own * params[name]
            buffers[name] = momentum * buffers[name] + total
            if step < stops.get(name, 9):
                params[name] = params[name] - own * (total + momentum * buffers[name])
    for name, value in params.items():
        np.testing.assert_allclose(tree[name], value, rtol=2e-5)


def test_weights_meet_their_average_every_five_steps():
    config = speedrun.get_config("94:cifar10")
    config.batch_size, config.epochs = 10, 7.5
    rule = make_lookahead(config, clock_of(config, examples=40))  # 30 steps, from step 12 on
    assert (rule.first, rule.total_steps) == (15, 30)
    fast = slow = np.float32(0)
    random = np.random.RandomState(0)
    for step in range(1, 31):
        moved = fast + np.float32(random.randn())
        found, after = rule(jnp.int32(step), {"w": jnp.float32(moved)}, {"w": jnp.float32(slow)})
        if step <= 15:
            fast = slow = moved
        elif step % 5 == 0:
            rho = 0.95**5 * (step / 30) ** 3
            fast = slow = np.float32(rho * slow + (1 - rho) * moved)
        else:
            fast = moved
        np.testing.assert_allclose([found["w"], after["w"]], [fast, slow], rtol=1e-6)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("lookahead", "lookahead(0)", "every_steps=0 is out of range"),
        ("lookahead", "lookahed", "did you mean 'lookahead'"),
        ("lookahead", "lookahead(5, 1.0)", "decay=1.0 is out of range"),
        ("average_decay", 0.9, "average_decay=0.9 averages the weights.*leave lookahead out"),
        ("freeze_after", (("whiten", 0.0),), "freeze_after: .* is no pair"),
    ],
)
def test_a_mistake_is_one_line(key, value, message):
    config = speedrun.get_config("94:cifar10")
    config[key] = value
    with pytest.raises(UserError, match=message) as error:
        config_checks.check(config)
    assert "\n" not in str(error.value)


def test_what_is_fixed_and_what_stops():
    config = speedrun.get_config("94:cifar10")
    plan = make_freeze_plan(config, make_model(config), (32, 32, 3), clock_of(config).step_at)
    assert plan.never_trained.params == {"whiten/kernel"}
    assert plan.stop_steps == {"whiten/bias": 147}  # 3 epochs of 48.8
    assert len(plan.phases) == 1  # nothing is compiled twice
    assert {*plan.rate_factors.values()} == {64.0}
    assert len(plan.rate_factors) == 6


@pytest.mark.parametrize(
    ("freeze", "warned"),
    [
        (("whiten/kernel",), False),
        (("whiten",), True),
        (("whiten/kernel", "fc"), True),
        ((), False),
    ],
)
def test_what_is_made_of_the_images_is_not_as_it_was_drawn(freeze, warned):
    config = speedrun.get_config("94:cifar10")
    config.freeze = freeze
    found = transfer_warnings(config, make_model(config), None)
    line = "freeze: without init.from the frozen stages stay as they were drawn"
    assert found == [line] * warned


def test_every_example_knows_its_epoch_on_the_device_and_in_a_stream():
    """Seven examples in batches of three: the third batch crosses into the next epoch."""
    images, numbers = np.zeros((7, 4, 4, 1), np.uint8), np.arange(7, dtype=np.int32)
    split, sampler = Split(images, numbers, numbers), TrainSampler(7, 3, 5, seed=0)
    loader = DeviceLoader(split, sampler, Devices.create("jit", 1))
    for step in range(5):
        wanted = [(3 * step + i) // 7 for i in range(3)]
        batch = loader.batch_at(step).batch(jnp.int32(step), 3, lambda rows: rows)
        np.testing.assert_array_equal(batch["epoch"], wanted)
        streamed = BatchReader(split, sampler)(step)
        np.testing.assert_array_equal(streamed["epoch"], wanted)
        np.testing.assert_array_equal(batch["id"], streamed["id"])
