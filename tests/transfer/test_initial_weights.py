"""Beginning with trained weights: what fits is loaded to the bit, what does not is named."""

import json

import jax
import numpy as np
import pytest

from cnn_jax import models, train
from cnn_jax.errors import UserError
from cnn_jax.runtime.checkpoints import Checkpoints
from cnn_jax.training.experiment import make_experiment
from cnn_jax.transfer.initial_weights import make_initial_weights
from cnn_jax.transfer.weights import save_weights


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A trained workdir: two replicas' statistics and averaged weights."""
    from configs.base import base

    config = base("tiny", "digits", image_size=8)
    config.update({"epochs": 0.5, "batch_size": 256, "devices": 2, "parallel": "pmap"})
    config.average_decay = 0.9
    config.model.update({"name": "mlp", "hidden": (16,), "norm": "batch"})
    folder = tmp_path_factory.mktemp("source") / "run"
    train.train_and_evaluate(config, folder)
    return config, folder


def started(config, folder, **changes):
    config = config.copy_and_resolve_references()
    config.seed = 7
    config.init["from"] = str(folder)
    config.init.update(changes)
    return config


def same(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(x, y), a, b)


@pytest.mark.heavy
def test_a_workdir_gives_its_averaged_weights_and_mean_statistics(source):
    config, folder = source
    state = Checkpoints(folder).read(Checkpoints(folder).steps()[-1]).tree[0]
    changed = started(config, folder)
    changed.parallel, changed.devices = "jit", 1
    experiment = make_experiment(changed)
    assert not experiment.initial_weights.randomly_initialised
    begun = experiment.compiled.init().state
    same(begun.params, state["average"]["params"])
    expected = jax.tree.map(lambda s: s.mean(0), state["average"]["batch_stats"])
    same(begun.batch_stats, expected)
    same(begun.ema_variables, {"params": begun.params, "batch_stats": begun.batch_stats})
    same(
        experiment.compiled.init(3).state.params, begun.params
    )  # also after the first was given away


@pytest.mark.heavy
def test_a_dropped_head_is_fresh_and_all_is_said(source, tmp_path, capsys):
    config, folder = source
    changed = started(config, folder, head="drop")
    changed.freeze = ("hidden1", "norm1")
    changed.epochs = 0.2
    train.train_and_evaluate(changed, tmp_path)
    lines = capsys.readouterr().out.splitlines()
    said = next(line for line in lines if line.startswith("begins with "))
    assert said.endswith("(mlp trained on digits, step 3): 5 of 7 tensors")
    assert "  fresh: output/bias, output/kernel" in lines
    assert any(line.startswith("frozen: hidden1, norm1; 170 parameters are") for line in lines)
    record = json.loads((tmp_path / "init.json").read_text())
    assert record["fresh"] == dict.fromkeys(
        ("params/output/bias", "params/output/kernel"), "init.head='drop'"
    )
    assert len(record["loaded"]) == 5


def test_a_head_of_other_classes_is_fresh(source, tmp_path):
    """And imported weights without a head, or with auxiliary heads that this net has not."""
    config, folder = source
    start = make_experiment(started(config, folder)).initial_weights
    params = {name[7:]: v for name, v in start.values.items() if name.startswith("params/")}
    stats = {name[12:]: v for name, v in start.values.items() if name.startswith("batch_")}
    params["output/kernel"] = np.zeros((16, 3), np.float32)
    params["auxiliary_1/kernel"] = np.zeros((4, 4), np.float32)
    del params["output/bias"]
    save_weights(tmp_path, params, stats, {"model": "mlp"})
    begun = make_experiment(started(config, tmp_path))
    assert begun.initial_weights.randomly_initialised == {
        "params/output/bias": "not there",
        "params/output/kernel": "16x3 there, 16x10 here",
    }
    assert begun.initial_weights.unused == ("params/auxiliary_1/kernel",)
    with pytest.raises(UserError, match=r"lacks weights of the net: output/bias, output/kernel"):
        begun.initial_weights.variables()


def test_weights_of_another_architecture(source):
    config, folder = source
    for change, expected in (
        ({"hidden": (12,)}, r"\(mlp\) does not fit mlp: params/hidden1/kernel is 64x16 there, 64x"),
        ({"norm": "none"}, "has no place here"),
        ({"hidden": (16, 16)}, "params/hidden2/kernel is not there; params/norm2/bias is not th"),
    ):
        changed = started(config, folder)
        changed.model.update(change)
        with pytest.raises(UserError, match=expected) as error:
            make_experiment(changed)
        assert "\n" not in str(error.value)
    other = models.create("mlp", 10, hidden=(12,))
    for name, ending in (("mlp", "and 3 more"), ("resnet18", "(cnn_jax weights resnet18 lists th")):
        with pytest.raises(UserError) as error:
            make_initial_weights(str(folder), other, name, (8, 8, 1))
        assert ending in str(error.value)
        assert ("lists" in str(error.value)) == (name == "resnet18")


@pytest.mark.parametrize("channels", [3, 1])
def test_weights_for_colour_meet_grey_images_and_the_other_way_round(channels, tmp_path):
    """The advice is the channels that all tensors fit; what it says is accepted."""
    here, there = (8, 8, 4 - channels), (8, 8, channels)
    net = models.create("bn_lenet", 10)
    abstract = jax.eval_shape(net.init, jax.random.key(0), jax.ShapeDtypeStruct((1, *there), "f4"))
    trees = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), abstract)
    save_weights(tmp_path, trees["params"], trees["batch_stats"], {"model": "bn_lenet"})
    with pytest.raises(UserError) as error:
        make_initial_weights(str(tmp_path), net, "bn_lenet", here)
    assert str(error.value) == (
        f"init.from='{tmp_path}' (bn_lenet) does not fit bn_lenet: params/c1/kernel is "
        f"5x5x{channels}x6 there, 5x5x{4 - channels}x6 here; they take images of {channels} "
        f"channel{'s' * (channels > 1)}: set data.channels={channels}"
    )
    assert not make_initial_weights(str(tmp_path), net, "bn_lenet", there).randomly_initialised
    save_weights(tmp_path, trees["params"], {}, {"model": "bn_lenet"})
    with pytest.raises(UserError) as error:  # something else is amiss too
        make_initial_weights(str(tmp_path), net, "bn_lenet", here)
    assert "data.channels" not in str(error.value)


def test_images_that_the_weights_do_not_expect_are_warned_of(source, tmp_path):
    config, folder = source
    start = make_experiment(started(config, folder)).initial_weights
    trees = start.variables()
    about = {
        "model": "mlp",
        "options": {"hidden": [16], "norm": "batch"},
        "preprocessing": {"mean": (0.5,) * 3, "std": (0.5,) * 3},
    }
    save_weights(tmp_path, trees["params"], trees["batch_stats"], about)
    changed = started(config, tmp_path)
    assert make_experiment(changed).warnings == []
    changed.data.normalisation = "none"
    (line,) = make_experiment(changed).warnings
    assert line.endswith("not data.normalisation='none': 'minus_one_to_one' gives them")


def test_folders_that_hold_no_weights(source, tmp_path):
    config, folder = source
    with pytest.raises(UserError, match=r"init.from='/nowhere' does not exist"):
        make_experiment(started(config, "/nowhere"))
    with pytest.raises(UserError, match="is neither a workdir nor a folder of imported weights"):
        make_experiment(started(config, tmp_path))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(UserError, match="holds no whole checkpoint"):
        make_experiment(started(config, tmp_path))
    with pytest.raises(UserError, match=r"init.head='none' is unknown; choices: auto, keep, drop"):
        make_experiment(started(config, folder, head="none"))


def test_a_damaged_best_checkpoint_gives_way(source, tmp_path):
    import shutil

    config, folder = source
    shutil.copytree(folder, tmp_path / "copy")
    experiment = make_experiment(config, is_new_run=False)
    newest = Checkpoints(tmp_path / "copy").steps()[-1]
    for file in (tmp_path / "copy" / "checkpoints" / f"{newest:08d}").rglob("metadata"):
        file.write_text("{}")
    with pytest.raises(UserError, match="holds no whole checkpoint"):
        make_initial_weights(str(tmp_path / "copy"), experiment.step_spec.model, "mlp", (8, 8, 1))


def test_options_that_no_shape_shows_are_warned_of(source):
    config, folder = source
    assert make_experiment(started(config, folder)).warnings == []
    changed = started(config, folder)
    changed.model.activation = "gelu"
    changed.model.dropout = 0.1  # of training only
    warnings = make_experiment(changed).warnings
    assert warnings == ["the weights are of mlp with activation='relu' there, 'gelu' here"]


def test_a_head_of_another_dataset_is_fresh_unless_kept(source, tmp_path):
    """Ten classes here and there are not the same ten."""
    config, folder = source
    model = make_experiment(started(config, folder)).step_spec.model
    shape = (8, 8, 1)
    fresh = make_initial_weights(
        str(folder), model, "mlp", shape, dataset="mnist"
    ).randomly_initialised
    assert fresh == dict.fromkeys(("params/output/bias", "params/output/kernel"), "of digits")
    assert not make_initial_weights(
        str(folder), model, "mlp", shape, "keep", "mnist"
    ).randomly_initialised


def test_a_head_goes_by_the_names_of_its_classes(source):
    """The same in another order are moved to their places; others of the same number are fresh."""
    config, folder = source
    model = make_experiment(started(config, folder)).step_spec.model
    digits = [str(digit) for digit in range(10)]
    own = make_initial_weights(str(folder), model, "mlp", (8, 8, 1), classes=digits)
    assert own.weights.classes == tuple(digits)
    assert (own.randomly_initialised, own.note) == ({}, "")
    moved = make_initial_weights(
        str(folder), model, "mlp", (8, 8, 1), dataset="mnist", classes=digits[::-1]
    )
    assert not moved.randomly_initialised
    for name in ("params/output/kernel", "params/output/bias"):
        np.testing.assert_array_equal(moved.values[name], own.values[name][..., ::-1])
    assert "  the head's classes come in another order: taken by name" in moved.summary_lines()
    others = ["ash", "elm", *digits[2:]]
    reason = "of other classes (0, 1, 2, ... there, ash, elm, 2, ... here)"
    fresh = make_initial_weights(str(folder), model, "mlp", (8, 8, 1), classes=others)
    assert fresh.randomly_initialised == dict.fromkeys(
        ("params/output/bias", "params/output/kernel"), reason
    )
    assert f"  fresh because {reason}" in fresh.summary_lines()
    kept = make_initial_weights(str(folder), model, "mlp", (8, 8, 1), "keep", classes=others)
    assert not kept.randomly_initialised
    assert kept.summary_lines()[-1] == f"  init.head='keep': the head is {reason}"
