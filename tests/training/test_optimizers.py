"""Every schedule against its closed form, every optimiser against one update by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.traverse_util import flatten_dict

from cnn_jax import models
from cnn_jax.errors import UserError
from cnn_jax.runtime.clock import Clock
from cnn_jax.training import optimizers
from cnn_jax.training.optimizers import SCALINGS, make_optimizer, make_plateau, make_schedule
from cnn_jax.training.train_step import undecayed_params

CLOCK = Clock(examples=1000, batch_size=100, epochs=10.0)  # 10 steps an epoch, 100 in all


def schedule(config, **changes):
    config.optimizer.learning_rate = 0.1
    for key, value in changes.items():
        config.schedule[key] = value
    return make_schedule(config, CLOCK)


def check(rate_of, closed_form):
    """At every step, so at every breakpoint and on both sides of it."""
    steps = np.arange(CLOCK.total_steps + 5)
    found = np.array([rate_of(int(s)) for s in steps])
    np.testing.assert_allclose(found, [closed_form(s) for s in steps], rtol=2e-6, atol=1e-8)


def test_constant(tiny):
    check(schedule(tiny, name="constant"), lambda s: 0.1)


def test_rate_grows_with_the_batch(tiny):
    """8,192 images are 32 times 256: the rates of Goyal et al. 2017, and their square root."""
    tiny.batch_size, tiny.schedule.name = 8192, "constant"
    tiny.optimizer.rate_scaling = "linear"
    check(schedule(tiny), lambda s: 3.2)
    tiny.optimizer.rate_scaling = "sqrt"
    check(schedule(tiny), lambda s: 0.1 * 32**0.5)
    tiny.optimizer.rate_batch = 128
    check(schedule(tiny), lambda s: 0.8)
    tiny.optimizer.rate_scaling = "cube"
    with pytest.raises(UserError, match=r"rate_scaling='cube' is unknown; choices: linear, sqrt"):
        optimizers.check_optimizer(tiny)
    tiny.optimizer.rate_scaling = None
    with pytest.raises(UserError, match=r"rate_batch=128 scales nothing: choose optimizer.rate_sc"):
        optimizers.check_optimizer(tiny)


def test_exponential_falls_after_every_epoch(tiny):
    check(schedule(tiny, name="exponential", gamma=0.5), lambda s: 0.1 * 0.5 ** (s // 10))
    every_two = schedule(tiny, name="exponential", gamma=0.5, every_epochs=2.0)
    check(every_two, lambda s: 0.1 * 0.5 ** (s // 20))


def test_exponential_when_batches_cross_epochs(tiny):
    """37 examples in batches of 10: the rate falls at the first step that begins in a new epoch."""
    tiny.optimizer.learning_rate = 0.1
    tiny.schedule.gamma = 0.5
    rate = make_schedule(tiny, Clock(37, 10, 5.0))
    for step in range(19):
        assert float(rate(step)) == pytest.approx(0.1 * 0.5 ** (step * 10 // 37))


def test_step_falls_at_its_epochs(tiny):
    rate = schedule(tiny, name="step", gamma=0.1, at_epochs=(3.0, 7.5))
    check(rate, lambda s: 0.1 * 0.1 ** (int(s >= 30) + int(s >= 75)))


def test_cosine_ends_at_its_final_fraction(tiny):
    def form(s):
        return 0.1 * (0.01 + 0.99 * (1 + np.cos(np.pi * min(s, 100) / 100)) / 2)

    check(schedule(tiny, name="cosine", final_fraction=0.01), form)


def test_linear_warmup_then_the_schedule(tiny):
    rate = schedule(tiny, name="cosine", warmup_epochs=2.0, warmup_from=0.1)

    def form(s):
        if s < 20:
            return 0.01 + 0.09 * s / 20
        return 0.1 * (1 + np.cos(np.pi * min(s - 20, 80) / 80)) / 2

    check(rate, form)


def test_constant_warmup_keeps_the_epochs_of_a_step_schedule(tiny):
    """As ResNet-110: a tenth of the rate at first, then the drops at their absolute epochs."""
    changes = {"warmup": "constant", "warmup_epochs": 1.0, "warmup_from": 0.1}
    rate = schedule(tiny, name="step", at_epochs=(5.0,), gamma=0.1, **changes)
    check(rate, lambda s: 0.01 if s < 10 or s >= 50 else 0.1)


def test_plateau_cuts_after_its_patience(tiny):
    tiny.schedule.name, tiny.schedule.patience, tiny.schedule.gamma = "plateau", 2, 0.5
    plateau = make_plateau(tiny)
    params = {"w": jnp.zeros(1)}
    state = plateau.init(params)
    scales = []
    for loss in (1.0, 0.9, 0.9, 0.9, 0.9, 0.8):
        _, state = plateau.update(params, state, value=jnp.float32(loss))
        scales.append(float(state.scale))
    assert scales == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5]


G1, G2, P0 = np.array([0.3, -2.0]), np.array([-0.1, 0.5]), np.array([1.0, -3.0])
RATE, M, B1, B2, D, EPS = 0.1, 0.9, 0.8, 0.99, 0.7, 1e-3


def by_hand(name):
    """The parameters after two updates with gradients G1 and G2."""
    p = P0.copy()
    v = m = s = x = z = np.zeros(2)
    for t, g in enumerate((G1, G2), 1):
        if name == "sgd":
            update = g
        elif name == "momentum":
            v = update = M * v + g
        elif name == "nesterov":
            v = M * v + g
            update = M * v + g
        elif name == "rmsprop":
            s = D * s + (1 - D) * g**2
            v = update = M * v + g / np.sqrt(s + EPS)
        elif name == "rmsprop_tf":
            s = s + 1 if t == 1 else s
            s = D * s + (1 - D) * g**2
            v = M * v + RATE * g / np.sqrt(s + EPS)
            update = v / RATE
        elif name == "adagrad":
            s = s + g**2
            update = g / np.sqrt(s + EPS)
        elif name == "adadelta":
            s = D * s + (1 - D) * g**2
            update = np.sqrt(x + EPS) / np.sqrt(s + EPS) * g
            x = D * x + (1 - D) * update**2
        elif name == "lars":  # vectors have no trust ratio
            v = M * v + RATE * g
            update = v / RATE
        elif name == "lion":
            update = np.sign(B1 * m + (1 - B1) * g)
            m = B2 * m + (1 - B2) * g
        elif name in ("nadam", "muon"):  # whose vectors are NAdam's
            m, s = B1 * m + (1 - B1) * g, B2 * s + (1 - B2) * g**2
            ahead = B1 * m / (1 - B1 ** (t + 1)) + (1 - B1) * g / (1 - B1**t)
            update = ahead / (np.sqrt(s / (1 - B2**t)) + EPS)
        elif name == "schedule_free":  # p is y; z and x begin as it does
            z, x = (P0, P0) if t == 1 else (z, x)
            s = B2 * s + (1 - B2) * g**2
            z = z - RATE * g / (np.sqrt(s / (1 - B2**t)) + EPS)
            x = (1 - 1 / t) * x + z / t
            update = (p - ((1 - B1) * z + B1 * x)) / RATE
        else:
            m, s = B1 * m + (1 - B1) * g, B2 * s + (1 - B2) * g**2
            update = (m / (1 - B1**t)) / (np.sqrt(s / (1 - B2**t)) + EPS)
        p = p - RATE * update
    return p


@pytest.mark.parametrize("name", SCALINGS)
def test_two_updates_by_hand(tiny, name):
    tiny.optimizer.update({"name": name, "momentum": M, "b1": B1, "b2": B2, "decay": D, "eps": EPS})
    optimizer = make_optimizer(tiny, optax.constant_schedule(RATE))
    params = {"w": jnp.asarray(P0)}
    state = optimizer.init(params)
    for g in (G1, G2):
        updates, state = optimizer.update({"w": jnp.asarray(g)}, state, params)
        params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(params["w"], by_hand(name), rtol=1e-5)


@pytest.mark.parametrize("name", SCALINGS)
def test_first_update_by_the_values_of_its_authors(tiny, name):
    """Nothing is set but the name: what Zeiler, Hinton and TensorFlow have without arguments."""
    tiny.optimizer.name = name
    optimizers.complete(tiny)
    g = np.array([0.25, -3.0])
    rate = 1e-3
    expected = {
        "sgd": rate * g,
        "momentum": rate * g,
        "nesterov": rate * 1.9 * g,
        "rmsprop": rate * g / np.sqrt(0.1 * g**2 + 1e-8),
        "rmsprop_tf": rate * g / np.sqrt(0.9 + 0.1 * g**2 + 1e-10),
        "adagrad": rate * np.sign(g),
        "adadelta": np.sqrt(1e-6) / np.sqrt(0.05 * g**2 + 1e-6) * g,
        "adam": rate * np.sign(g),
        "adamw": rate * np.sign(g),
        "nadam": rate * (0.9 * 0.1 / (1 - 0.9**2) + 1) * np.sign(g),
        "lion": 1e-4 * np.sign(g),
        "lars": g,
        "lamb": rate * g / (abs(g) + 1e-6),
        "muon": rate * (0.9 * 0.1 / (1 - 0.9**2) + 1) * np.sign(g),
        "schedule_free": 2.5e-3 * np.sign(g),
    }[name]
    optimizer = make_optimizer(tiny, make_schedule(tiny, CLOCK))
    updates, _ = optimizer.update(
        {"w": jnp.asarray(g)}, optimizer.init({"w": jnp.zeros(2)}), {"w": jnp.zeros(2)}
    )
    np.testing.assert_allclose(updates["w"], -expected, rtol=1e-5)


# Matrices, as kernels of a dense layer and a convolution, and a vector.
KERNELS = {"dense": (6, 4), "conv": (3, 3, 2, 5), "bias": (4,)}


def optax_own(name):
    """What optax has under that name, with decay 0.01 of matrices."""
    is_matrix = lambda tree: jax.tree.map(lambda p: p.ndim > 1, tree)  # noqa: E731
    if name == "lars":
        masks = {"weight_decay_mask": is_matrix, "trust_ratio_mask": is_matrix}
        return optax.lars(RATE, 0.01, **masks)
    if name == "lamb":
        return optax.partition(
            {
                "matrix": optax.lamb(RATE, weight_decay=0.01),
                "vector": optax.adam(RATE, eps=1e-6),
            },
            lambda params: jax.tree.map(lambda p: "matrix" if p.ndim > 1 else "vector", params),
        )
    if name == "lion":
        return optax.lion(RATE, weight_decay=0.01, mask=is_matrix)
    if name == "schedule_free":
        base = optax.adamw(RATE, b1=0.0, weight_decay=0.01, mask=is_matrix)
        return optax.contrib.schedule_free(base, RATE, b1=0.9)
    if name == "nadam":
        decay = optax.add_decayed_weights(0.01, is_matrix)
        return optax.chain(decay, optax.nadam(RATE))
    return optax.contrib.muon(
        RATE,
        weight_decay=0.01,
        muon_weight_dimension_numbers={
            "dense": optax.contrib.MuonDimensionNumbers(0, 1),
            "conv": optax.contrib.MuonDimensionNumbers((0, 1, 2), 3),
            "bias": None,
        },
        consistent_rms=0.2,
    )


@pytest.mark.parametrize("name", ["lars", "lamb", "lion", "nadam", "muon", "schedule_free"])
def test_three_updates_of_kernels_are_those_of_optax(tiny, name):
    tiny.optimizer.update({"name": name, "weight_decay": 0.01})
    ours, theirs = make_optimizer(tiny, optax.constant_schedule(RATE)), optax_own(name)
    rng = np.random.default_rng(0)
    draw = lambda: {k: jnp.float32(rng.normal(size=s)) for k, s in KERNELS.items()}  # noqa: E731
    params = other = draw()
    state, other_state = ours.init(params), theirs.init(other)
    for _ in range(3):
        grads = draw()
        updates, state = ours.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        updates, other_state = theirs.update(grads, other_state, other)
        other = optax.apply_updates(other, updates)
    for key in KERNELS:
        np.testing.assert_allclose(params[key], other[key], rtol=2e-5, atol=1e-6, err_msg=key)


@pytest.mark.heavy
def test_muons_step_of_a_convolution_is_nearly_orthogonal(tiny):
    """Over its 18 inputs by 5 outputs; the root mean square of its numbers is near Adam's 0.2."""
    tiny.optimizer.name = "muon"
    optimizer = make_optimizer(tiny, optax.constant_schedule(1.0))
    params = {"conv": jnp.float32(np.random.default_rng(1).normal(size=KERNELS["conv"]))}
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    values = np.linalg.svd(np.reshape(updates["conv"], (18, 5)), compute_uv=False)
    assert values / (0.2 * np.sqrt(18)) == pytest.approx(np.ones(5), abs=0.35)


@pytest.mark.heavy
def test_schedule_free_is_evaluated_with_the_mean_of_its_steps(tiny):
    tiny.optimizer.update({"name": "schedule_free", "b1": 0.9})
    tiny.clip_norm = 100.0
    optimizer = make_optimizer(tiny, optax.constant_schedule(RATE))
    params = {"w": jnp.asarray(P0)}
    state = optimizer.init(params)
    steps, z, s = [], P0, 0
    for t, g in enumerate((G1, G2, G1), 1):
        updates, state = optimizer.update({"w": jnp.asarray(g)}, state, params)
        params = optax.apply_updates(params, updates)
        s = 0.999 * s + 0.001 * g**2
        z = z - RATE * g / (np.sqrt(s / (1 - 0.999**t)) + 1e-8)
        steps.append(z)
    mean = optimizers.mean_params(state, params)["w"]
    np.testing.assert_allclose(mean, np.mean(steps, 0), rtol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"average_decay": 0.9}, r"average_decay=0.9 does not go with .*'schedule_free': choose 0"),
        ({"unfreeze": (("c1", 1.0),)}, r"unfreeze=.* choose \(\)"),
        ({"optimizer.b1": 0.0}, r"optimizer.b1=0.0 does not go with .* choose 0.9"),
        ({"schedule.name": "plateau"}, r"schedule.name='plateau' does not go with .* 'constant'"),
    ],
)
def test_what_does_not_go_with_schedule_free(tiny, changes, message):
    tiny.update_from_flattened_dict({"optimizer.name": "schedule_free", **changes})
    with pytest.raises(UserError, match=message):
        optimizers.check_optimizer(tiny)


def test_schedule_free_at_a_falling_rate_is_warned_of(tiny):
    tiny.optimizer.name, tiny.schedule.name = "schedule_free", "exponential"
    (warning,) = optimizers.optimizer_warnings(tiny)
    assert "--config.schedule.name=constant" in warning


@pytest.mark.parametrize(
    ("name", "at", "warned"),
    [
        ("step", (), True),
        ("step", (2.0, 9.0), True),
        ("step", (1.0, 9.0), False),
        ("cosine", (), 0),
    ],
)
def test_steps_that_never_come_are_warned_of(tiny, name, at, warned):
    tiny.schedule.name, tiny.schedule.at_epochs, tiny.epochs = name, at, 2.0
    found = optimizers.warnings_for(tiny)
    line = (
        f"schedule.name='step': the rate stays as it is, for none of schedule.at_epochs={at} "
        "comes before the end, epochs=2"
    )
    assert found == [line] * warned


def two_updates_at_a_falling_rate(tiny):
    rates = jnp.array([0.1, 0.01])
    optimizer = make_optimizer(tiny, lambda step: rates[step])
    params, moves = {"w": jnp.zeros(1)}, []
    state = optimizer.init(params)
    for _ in range(2):
        updates, state = optimizer.update({"w": jnp.ones(1)}, state, params)
        moves.append(float(updates["w"][0]))
    return moves


@pytest.mark.parametrize(("inside", "second"), [(None, 0.01 * 1.9), (True, 0.9 * 0.1 + 0.01)])
def test_the_rate_outside_and_inside_the_momentum(tiny, inside, second):
    """A rate that falls to a tenth slows all that was gathered, or what follows only."""
    tiny.optimizer.name, tiny.optimizer.rate_inside = "momentum", inside
    np.testing.assert_allclose(two_updates_at_a_falling_rate(tiny), [-0.1, -second], rtol=1e-6)


def test_rmsprop_of_tensorflow_has_the_rate_inside(tiny):
    tiny.optimizer.update({"name": "rmsprop_tf", "momentum": 0.9, "eps": 1e-3})
    first = 0.1 / np.sqrt(1 + 1e-3)  # ones: the mean square stays 1
    second = 0.9 * first + first / 10
    np.testing.assert_allclose(two_updates_at_a_falling_rate(tiny), [-first, -second], rtol=1e-5)


def test_lars_has_the_rate_inside(tiny):
    tiny.optimizer.update({"name": "lars", "momentum": 0.9})
    found = two_updates_at_a_falling_rate(tiny)
    np.testing.assert_allclose(found, [-0.1, -(0.9 * 0.1 + 0.01)], rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "adam", "rate_inside": True}, "optimizer.name='adam' has no momentum; choose "),
        (
            {"name": "rmsprop_tf", "weight_decay": 0.1, "weight_decay_kind": "decoupled"},
            "weight_decay_kind='decoupled' .* optimizer.weight_decay_kind='l2'",
        ),
    ],
)
def test_a_rate_inside_needs_a_momentum(tiny, changes, message):
    tiny.optimizer.update(changes)
    with pytest.raises(UserError, match=message):
        make_optimizer(tiny, optax.constant_schedule(RATE))


def test_a_run_keeps_the_values_of_today(tiny):
    """Adam's config on disk is what it was before keys could be left open, so its runs go on."""
    optimizers.complete(tiny)
    c = tiny.optimizer
    assert (c.learning_rate, c.momentum, c.decay, c.eps) == (1e-3, 0.9, 0.9, 1e-8)
    assert c.rate_inside is None  # as good as absent


@pytest.mark.parametrize("name", optimizers.SCALINGS)
def test_a_rate_at_which_a_net_hardly_trains_is_warned_of(tiny, name):
    """Adam's rate for plain steps, or theirs for Adam; the advice is not warned of."""
    low, high, usual = optimizers.TRAINS_WITHIN.get(name, (0.0, np.inf, 1e-3))
    tiny.optimizer.name, tiny.schedule.name = name, "constant"
    for rate, word in ((0.9 * low, "low"), (1.1 * high, "high")):
        if 0 < rate < np.inf:
            tiny.optimizer.learning_rate = rate
            (warning,) = optimizers.optimizer_warnings(tiny)
            assert f"hardly trains with {name}, it is too {word}: --config.optim" in warning
            assert warning.endswith(f"learning_rate={usual:g} is usual")
    tiny.optimizer.learning_rate = usual
    assert optimizers.optimizer_warnings(tiny) == []


def test_the_rate_that_is_warned_of_is_that_of_the_batch(tiny):
    """0.002 for 256 images are 0.064 for 8,192, over the 0.05 of Adam."""
    tiny.optimizer.name, tiny.schedule.name = "adam", "constant"
    tiny.optimizer.learning_rate, tiny.batch_size = 2e-3, 8192
    assert optimizers.optimizer_warnings(tiny) == []
    tiny.optimizer.rate_scaling = "linear"
    (warning,) = optimizers.optimizer_warnings(tiny)
    assert warning.startswith("optimizer.learning_rate=0.064 hardly trains with adam, it is too")


def test_a_low_rate_is_usual_for_trained_weights(tiny):
    tiny.optimizer.name, tiny.optimizer.learning_rate = "sgd", 1e-3
    assert len(optimizers.optimizer_warnings(tiny)) == 1
    tiny.init["from"] = "weights"
    assert optimizers.optimizer_warnings(tiny) == []


def test_an_optimiser_by_name_alone_is_warned_of_where_its_rate_is_adams(tiny):
    """A config without a rate: 1e-3 for those that have none of their own."""
    tiny.optimizer.learning_rate, tiny.schedule.name = None, "constant"
    warned = set()
    for name in optimizers.SCALINGS:
        tiny.optimizer.name = name
        warned |= {name} if optimizers.optimizer_warnings(tiny) else set()
    assert warned == {"sgd"}


@pytest.mark.heavy
def test_decay_leaves_out_what_decay_except_names(tiny):
    tiny.update_from_flattened_dict({"model.name": "mobilenet_v1_025", "optimizer.name": "sgd"})
    tiny.optimizer.decay_except = ("block*/depthwise",)
    tiny.optimizer.weight_decay = 0.5
    model = models.create("mobilenet_v1_025", num_classes=10)
    undecayed = undecayed_params(tiny, model, (32, 32, 3))
    assert undecayed == {f"block{i}/depthwise/kernel" for i in range(1, 14)}
    params = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))["params"]
    mask = flatten_dict(optimizers.decayed(params, False, undecayed), sep="/")
    assert {path for path, yes in mask.items() if yes} == {
        "conv1/kernel",
        "fc/kernel",
        *(f"block{i}/pointwise/kernel" for i in range(1, 14)),
    }
    kernel = {"block1": {"depthwise": {"kernel": jnp.ones((1, 1))}}}
    rule = make_optimizer(tiny, optax.constant_schedule(RATE), undecayed=undecayed)
    updates, _ = rule.update(jax.tree.map(jnp.zeros_like, kernel), rule.init(kernel), kernel)
    assert float(jax.tree.leaves(updates)[0].item()) == 0
    tiny.optimizer.decay_except = ("blok*",)
    with pytest.raises(UserError, match=r"optimizer.decay_except: 'blok\*' names nothing"):
        undecayed_params(tiny, model, (32, 32, 3))


def one_update(config, params, grads):
    optimizer = make_optimizer(config, optax.constant_schedule(RATE))
    updates, _ = optimizer.update(grads, optimizer.init(params), params)
    return jax.tree.map(lambda p, u: np.asarray(p + u), params, updates)


def test_weight_decay_as_l2_and_decoupled(tiny):
    """L2 goes through Adam's division, which turns a first step into its sign; decoupled not."""
    kernel, grad = jnp.full((2, 2), 4.0), jnp.full((2, 2), 1.0)
    tiny.optimizer.update({"name": "adam", "eps": 0.0, "weight_decay": 0.5})
    l2 = one_update(tiny, {"kernel": kernel}, {"kernel": grad})
    np.testing.assert_allclose(l2["kernel"], 4 - RATE * 1, rtol=1e-6)
    for change in ({"weight_decay_kind": "decoupled"}, {"name": "adamw"}):
        tiny.optimizer.update(change)
        free = one_update(tiny, {"kernel": kernel}, {"kernel": grad})
        np.testing.assert_allclose(free["kernel"], 4 - RATE * (1 + 0.5 * 4), rtol=1e-6)


def test_biases_and_scales_do_not_decay_unless_asked(tiny):
    params = {"kernel": jnp.ones((1, 1)), "bias": jnp.ones(1), "scale": jnp.ones(1)}
    zeros = jax.tree.map(jnp.zeros_like, params)
    tiny.optimizer.update({"name": "sgd", "weight_decay": 0.5})
    found = one_update(tiny, params, zeros)
    assert (found["kernel"], found["bias"], found["scale"]) == (np.float32(0.95), 1, 1)
    tiny.optimizer.decay_vectors = True
    assert one_update(tiny, params, zeros)["bias"] == np.float32(0.95)


def test_clip_norm_shortens_the_whole_gradient(tiny):
    tiny.optimizer.name, tiny.clip_norm = "sgd", 1.0
    found = one_update(
        tiny, {"a": jnp.zeros(1), "b": jnp.zeros(1)}, {"a": jnp.array([3.0]), "b": jnp.array([4.0])}
    )
    np.testing.assert_allclose([found["a"][0], found["b"][0]], [-0.06, -0.08], rtol=1e-6)


def test_warmup_may_not_swallow_the_run(tiny):
    with pytest.raises(UserError, match=r"schedule.warmup_epochs=10.0 leaves nothing of epochs=10"):
        schedule(tiny, warmup_epochs=10.0)


def test_adam_without_bias_correction_keeps_its_moments_small(tiny):
    """Two updates by hand: m / (sqrt(v) + eps) with m and v as they are."""
    tiny.optimizer.update(bias_correction=False, learning_rate=1.0, b1=0.8, b2=0.99)
    rule = make_optimizer(tiny, optax.constant_schedule(1.0))
    state, m, v = rule.init({"w": jnp.zeros(2)}), 0.0, 0.0
    for grad in (np.array([3.0, -0.5]), np.array([1.0, 2.0])):
        update, state = rule.update({"w": jnp.asarray(grad)}, state, {"w": jnp.zeros(2)})
        m, v = 0.8 * m + 0.2 * grad, 0.99 * v + 0.01 * grad**2
        np.testing.assert_allclose(update["w"], -m / (np.sqrt(v) + 1e-8), rtol=1e-6)


def test_bias_correction_is_adams_alone(tiny):
    tiny.optimizer.update(name="sgd", bias_correction=True)
    with pytest.raises(UserError, match=r"bias_correction=True.*'sgd'.*adam or adamw"):
        optimizers.check_optimizer(tiny)
