"""What is frozen keeps its bits and has no optimiser state; what is unfrozen starts on time."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.traverse_util import flatten_dict

from cnn_jax import models, train
from cnn_jax.errors import UserError
from cnn_jax.training.experiment import make_experiment
from cnn_jax.training.optimizers import make_optimizer
from cnn_jax.transfer.freezing import NetOutline, make_freeze_plan, stage_name
from tests.test_train import Killed, fingerprint, kill_at

FIRST = ("hidden1", "norm1")  # of the tiny net: hidden1, norm1, hidden2, norm2, output


@pytest.fixture
def deep(tiny):
    """Two hidden layers with BatchNorm, averaged weights, one device."""
    tiny.model.hidden = (16, 12)
    tiny.average_decay = 0.9
    return tiny


def flat(tree):
    """Copies on the host by name: the step takes the state's memory."""
    return {k: np.array(v) for k, v in flatten_dict(jax.device_get(tree), sep="/").items()}


def steps(config, count):
    """(variables by name after each step, the last state)."""
    experiment = make_experiment(config)
    loader, carry = experiment.train_loader(), experiment.compiled.init()
    history = [flat({"params": carry.state.params, "batch_stats": carry.state.batch_stats})]
    history[0] |= flat(carry.state.frozen or {})
    for step in range(count):
        carry, _ = experiment.compiled.train_steps(step)(carry, loader.batch_at(step), 1)
        state = carry.state
        history.append(flat({"params": state.params, "batch_stats": state.batch_stats}))
        history[-1] |= flat(state.frozen or {})
    return history, carry.state


def changed(before, after):
    assert before.keys() == after.keys()
    return {name for name in before if before[name].tobytes() != after[name].tobytes()}


NORM1 = {"params/norm1/scale", "params/norm1/bias"}
MOVING1 = {"batch_stats/norm1/mean", "batch_stats/norm1/var"}


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("mode", "parallel", "still"),
    [
        ("freeze_all", "jit", {"params/hidden1/kernel", *NORM1, *MOVING1}),
        ("freeze_all", "pmap", {"params/hidden1/kernel", *NORM1, *MOVING1}),
        ("freeze_affine", "jit", {"params/hidden1/kernel", *NORM1}),
        ("train", "jit", {"params/hidden1/kernel"}),
    ],
)
def test_what_is_frozen_keeps_its_bits(deep, mode, parallel, still):
    deep.freeze, deep.freeze_norm = FIRST, mode
    deep.parallel, deep.devices = parallel, 2 if parallel == "pmap" else 1
    history, state = steps(deep, 3)
    assert set(history[0]) - changed(history[0], history[-1]) == still
    averaged = flat(state.variables)
    assert averaged.keys() == history[0].keys()
    for name in still:
        assert averaged[name].tobytes() == history[0][name].tobytes(), name
    trained = flat(state.opt_state[0].mu)
    assert set(trained) == {n[7:] for n in history[0] if n.startswith("params/") and n not in still}


@pytest.mark.heavy
@pytest.mark.parametrize("parts", [1, 2])
def test_what_is_trained_moves_as_without_freezing(deep, parts):
    """The first step of plain SGD, without BatchNorm and dropout: the same gradients."""
    deep.model.update({"norm": "none", "dropout": 0.0})
    deep.optimizer.name, deep.optimizer.learning_rate, deep.accumulate = "sgd", 0.1, parts
    free, _ = steps(deep, 1)
    deep.freeze = ("hidden1",)
    frozen, _ = steps(deep, 1)
    moved = changed(frozen[0], frozen[1])
    assert moved == {name for name in frozen[0] if "hidden1" not in name}
    for name in moved:
        np.testing.assert_allclose(frozen[1][name], free[1][name], atol=1e-7)


@pytest.mark.heavy
def test_frozen_norms_use_population_statistics(deep):
    """The training loss is that of hand-made population normalisation, not of the batch's."""
    deep.freeze, deep.freeze_norm, deep.average_decay = FIRST, "freeze_all", 0.0
    deep.model.dropout = 0.0
    experiment = make_experiment(deep)
    loader, carry = experiment.train_loader(), experiment.compiled.init()
    mean = np.arange(16.0, dtype=np.float32) / 8
    frozen = carry.state.frozen
    norm = {"norm1": {"mean": jnp.array(mean), "var": frozen["batch_stats"]["norm1"]["var"] * 4}}
    state = carry.state.replace(frozen={**frozen, "batch_stats": norm})
    params = jax.device_get(state.variables["params"])
    rows = np.asarray(loader.batch_at(0).rows)[: deep.batch_size]
    _, running = experiment.compiled.train_steps(0)(
        carry._replace(state=state), loader.batch_at(0), 1
    )[0]
    pixels = experiment.dataset.train.images
    x = ((pixels[rows] - pixels.mean()) / pixels.std()).reshape(len(rows), -1)
    x = np.maximum((x @ params["hidden1"]["kernel"] - mean) / np.sqrt(4 + 1e-5), 0)
    x = x @ params["hidden2"]["kernel"]
    x = np.maximum((x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5), 0)
    logits = x @ params["output"]["kernel"] + params["output"]["bias"]
    labels = experiment.dataset.train.labels[rows]
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
    assert float(running.loss.compute()) == pytest.approx(float(loss), rel=1e-5)


@pytest.mark.parametrize(
    ("mode", "parallel"),
    [
        ("freeze_all", "jit"),
        pytest.param("freeze_all", "pmap", marks=pytest.mark.slow),
        pytest.param("freeze_affine", "jit", marks=pytest.mark.slow),
    ],
)
def test_unfreezing_is_exact_at_its_step(deep, mode, parallel):
    """1,294 examples in batches of 256: epoch 0.5 is step 3."""
    deep.parallel, deep.devices = parallel, 2 if parallel == "pmap" else 1
    deep.freeze, deep.freeze_norm, deep.unfreeze = FIRST, mode, (("hidden1", 0.5), ("norm1", 0.5))
    history, state = steps(deep, 5)
    held = {"params/hidden1/kernel", *NORM1, *(MOVING1 if mode == "freeze_all" else ())}
    assert set(history[0]) - changed(history[0], history[3]) == held
    assert changed(history[3], history[4]) == set(history[0])
    assert state.frozen is None
    # Adam starts there: its first update is the rate, whatever the gradient's size.
    moved = np.abs(history[4]["params/hidden1/kernel"] - history[3]["params/hidden1/kernel"])
    assert moved.max() == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("parallel", ["jit", pytest.param("pmap", marks=pytest.mark.slow)])
def test_a_killed_run_with_freezing_goes_on_to_the_same_bits(deep, tmp_path, monkeypatch, parallel):
    """Killed before and after a stage is unfrozen, and from weights that are gone by then."""
    deep.parallel, deep.devices = parallel, 2 if parallel == "pmap" else 1
    source = tmp_path / "source"
    deep.epochs = 0.3
    train.train_and_evaluate(deep, source)
    deep.epochs = 1.5
    config = deep.copy_and_resolve_references()
    config.seed, config.checkpoint.every_steps = 5, 4
    config.init["from"] = str(source)
    config.freeze, config.unfreeze = ("hidden1", "norm1", "hidden2"), (("hidden2", 1.0),)
    config.optimizer.layer_decay, config.optimizer.groups = 0.5, (("output", 3.0),)
    train.train_and_evaluate(config, tmp_path / "whole")
    for step in (4, 7):
        with monkeypatch.context() as patch:
            kill_at(patch, step)
            with pytest.raises(Killed):
                train.train_and_evaluate(config, tmp_path / "killed")
        if source.exists():
            source.rename(tmp_path / "moved")
    train.train_and_evaluate(config, tmp_path / "killed")
    (tmp_path / "moved").rename(source)
    assert fingerprint(config, tmp_path / "killed") == fingerprint(config, tmp_path / "whole")


@pytest.mark.heavy
def test_rates_by_hand(deep):
    """Plain SGD: each parameter moves by its own rate times its gradient."""
    deep.optimizer.name, deep.optimizer.layer_decay = "sgd", 0.5
    deep.optimizer.groups = (("output", 10.0), ("hidden?", 2.0), ("hidden2", 4.0))
    experiment = make_experiment(deep)
    shapes = experiment.compiled.abstract[0].params
    plan = experiment.step_spec.plan
    optimizer = make_optimizer(
        deep, optax.constant_schedule(0.1), plan.first_steps, plan.rate_factors
    )
    ones = jax.tree.map(lambda leaf: jnp.ones(leaf.shape), shapes)
    updates = flat(optimizer.update(ones, optimizer.init(ones), ones)[0])
    moves = {name: float(value.ravel()[0]) for name, value in updates.items()}
    depths = {"hidden1": 4, "norm1": 3, "hidden2": 2, "norm2": 1, "output": 0}
    factors = {"hidden1": 2, "hidden2": 4, "output": 10}
    for name, value in moves.items():
        stage = name.split("/")[0]
        assert value == pytest.approx(-0.1 * 0.5 ** depths[stage] * factors.get(stage, 1)), name


@pytest.mark.heavy
def test_an_optimiser_that_starts_later_is_a_fresh_one(tiny):
    """Its moments and its bias correction count from its step; the schedule is of the run."""
    grads = {"a": jnp.float32([[0.3]]), "b": jnp.float32([[0.3]])}

    def rate(step):
        return 0.1 / (1 + step)

    late = make_optimizer(tiny, rate, {"b": 4})
    alone = make_optimizer(tiny, lambda step: rate(step + 4))
    state = late.init(grads)
    for _ in range(4):
        updates, state = late.update(grads, state, grads)
        assert float(updates["b"][0, 0]) == 0
    only = {"b": grads["b"]}
    expected_state = alone.init(only)
    for _ in range(3):
        updates, state = late.update(grads, state, grads)
        expected, expected_state = alone.update(only, expected_state, only)
        assert float(updates["b"][0, 0]) == float(expected["b"][0, 0])


@pytest.mark.heavy
def test_stages_of_nets():
    names = ("conv1", "conv1_norm", "layer1_0", "conv3_2_norm", "norm", "inception_4a", "block10")
    stages = ("conv1", "conv1", "layer1", "conv3", "norm", "inception_4a", "block10")
    assert tuple(map(stage_name, names)) == stages
    outline = NetOutline.of(models.create("resnet18"), (32, 32, 3))
    assert outline.stages == ("conv1", "layer1", "layer2", "layer3", "layer4", "fc")
    assert outline.distance_to_head("conv1_norm/scale") == 5
    assert outline.distance_to_head("fc/bias") == 0
    first = outline.matching_params("freeze", "conv1")
    assert first == {"conv1/kernel", "conv1_norm/scale", "conv1_norm/bias"}
    assert outline.matching_params("freeze", "layer4/*") == outline.matching_params(
        "freeze", "layer4"
    )
    assert outline.matching_params("freeze", "layer1_1") < outline.matching_params(
        "freeze", "layer1"
    )
    assert len(outline.norms) == 20
    google = NetOutline.of(models.create("googlenet"), (64, 64, 3))
    assert (
        google.distance_to_head("auxiliary_4a/fc/kernel")
        == google.distance_to_head("linear/bias")
        == 0
    )


def plan_of(config, **changes):
    config.update(changes)
    model = models.create("mlp", 10, hidden=(16, 12), norm="batch")
    return make_freeze_plan(config, model, (8, 8, 1), lambda epoch: round(10 * epoch))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"freeze": ("layer1",)}, "freeze: 'layer1' names nothing of the net; its stages: hidden1"),
        ({"freeze": (1,)}, "freeze: 1 names nothing of the net"),
        ({"freeze": ("hiden1",)}, r"\(did you mean 'hidden1'"),
        (
            {"freeze": ("*",)},
            r"leaves nothing to train at the start; stages of mlp: hidden1, norm1",
        ),
        ({"unfreeze": (("*", 1.0),)}, "leaves nothing to train at the start"),
        ({"unfreeze": (("hidden1", 2.0),)}, "'hidden1' at epoch 2 is not before epochs=2"),
        (
            {"unfreeze": (("hidden1",),)},
            r"unfreeze: \('hidden1',\) is no pair of a stage and a num",
        ),
        ({"unfreeze": (("hidden1", -1),)}, "is no pair of a stage and a number > 0"),
        ({"freeze_norm": "eval"}, "freeze_norm='eval' is unknown; choices: train, freeze_affine, "),
        ({"optimizer": {"groups": (("fc", 2),)}}, "optimizer.groups: 'fc' names nothing of the ne"),
    ],
)
def test_bad_plans(tiny, changes, expected):
    with pytest.raises(UserError, match=expected):
        plan_of(tiny, **changes)


def test_one_loop_of_blocks_has_no_single_norms_to_hold_still(tiny):
    tiny.freeze = ("layer1",)
    net = models.create("resnet20_cifar", scan=True)
    with pytest.raises(UserError, match=r"set model\.scan=False"):
        make_freeze_plan(tiny, net, (8, 8, 3), round)
    tiny.freeze_norm = "freeze_affine"
    assert make_freeze_plan(tiny, net, (8, 8, 3), round).phases[0].params


def test_norms_alone_can_be_trained(tiny):
    plan = plan_of(tiny, freeze=("*",), freeze_norm="train")
    assert all("norm" not in path for path in plan.never_trained.params)
    assert len(plan.never_trained.params) == 4
