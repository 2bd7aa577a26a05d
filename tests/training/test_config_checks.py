"""Values are checked before workdir, data and net, by the same checks from Python as elsewhere."""

import json

import pytest
from ml_collections import ConfigDict

from cnn_jax import train
from cnn_jax.errors import UserError
from cnn_jax.runtime import workdir
from cnn_jax.runtime.config_files import base_config, keys_of, load_config
from cnn_jax.training import config_checks, evaluation, experiment, optimizers
from cnn_jax.training.dry_run import dry_run


@pytest.fixture
def no_data(monkeypatch):
    """Whoever reaches for the data has not checked the config first."""
    monkeypatch.setattr(experiment.data, "load", None)


WRONG = {
    "optimizer.name": ("sdg", "optimizer.name='sdg' is unknown (did you mean 'sgd'"),
    "optimizer.weight_decay_kind": ("l1", "choices: l2, decoupled"),
    "optimizer.groups": ((("fc", 2.0),), "optimizer.groups: 'fc' names nothing of the net"),
    "optimizer.decay_except": (("fc",), "optimizer.decay_except: 'fc' names nothing of the net"),
    "schedule.name": ("cosin", "schedule.name='cosin' is unknown (did you mean 'cosine'"),
    "schedule.warmup_epochs": (2.0, "schedule.warmup_epochs=2.0 leaves nothing of epochs=2.0"),
    "schedule.at_epochs": ((3.0, 1.0), "schedule.at_epochs=(3.0, 1.0) must rise"),
    "loss.name": ("entropy", "loss.name='entropy' is unknown"),
    "augment": (("flip",), "augment='flip' is unknown"),
    "protocol": ("ten_crop(4)", "protocol='ten_crop(4)': "),
    "parallel": ("jits", "parallel='jits' is unknown"),
    "batch_size": (0, "batch_size=0 is out of range"),
    "accumulate": (3, "batch_size=256 does not divide over 1 devices x accumulate=3"),
    "freeze": (("layer9",), "freeze: 'layer9' names nothing of the net"),
    "freeze_norm": ("hold", "freeze_norm='hold' is unknown"),
    "unfreeze": ((("norm1", 9.0),), "'norm1' at epoch 9 is not before epochs=2.0"),
    "data.fit": ("stretch", "data.fit='stretch' is unknown"),
    "data.normalisation": ("x", "data.normalisation='x' is unknown"),
    "data.train_crop": (
        "scale_jitter(2)",
        "data.train_crop='scale_jitter(2)': wants data.image_size=8 <= ",
    ),
    "model.norm": ("bach", "mlp: model.norm='bach' is unknown"),
    "init.from": ("/nowhere", "init.from='/nowhere' does not exist"),
}


@pytest.mark.parametrize("key", WRONG)
def test_a_wrong_value_comes_before_the_data(tiny, key, no_data, tmp_path):
    value, line = WRONG[key]
    tiny.update_from_flattened_dict({key: value})
    for start in (lambda: train.train_and_evaluate(tiny, str(tmp_path)), lambda: dry_run(tiny)):
        with pytest.raises(UserError) as error:
            start()
        assert line in str(error.value)
    assert not [*tmp_path.iterdir()]


OF_ANOTHER_TYPE = {int: (2.5, True), float: ("1", True), str: (3,), bool: (1,), tuple: (2.5, "a")}


def test_every_value_has_the_type_of_its_key(tiny):
    """Plain values, of JSON perhaps, may have any: the command line's words are said of each."""
    values = tiny.to_dict()
    kinds = {}
    for key in keys_of(base_config()):
        section, (*parents, name) = tiny, key.split(".")
        own = values
        for parent in parents:
            section, own = section[parent], own[parent]
        kinds[key], kept = section.get_type(name), own[name]
        wrong = OF_ANOTHER_TYPE[kinds[key]] + (() if kept is None else (None,))
        for own[name] in wrong:
            line = f"config.{key}={own[name]!r} has the wrong type: expected {kinds[key].__name__}"
            with pytest.raises(UserError) as error:
                config_checks.check(ConfigDict(values, type_safe=False))
            assert str(error.value) == line
        own[name] = kept
    assert {*kinds.values()} == {*OF_ANOTHER_TYPE}
    values["epochs"], values["augment"] = 2, ["horizontal_flip"]  # as JSON has them
    config_checks.check(ConfigDict(values, type_safe=False))
    for values["model"]["name"] in (None, 3, ["mlp"]):
        with pytest.raises(UserError, match=r"^model.name=.*: name a net; cnn_jax summarize"):
            config_checks.check(ConfigDict(values, type_safe=False))
    values["augment"] = [[]]
    with pytest.raises(UserError, match=r"^config.augment holds \[\]: write 'name'"):
        config_checks.check(ConfigDict(values, type_safe=False))


def test_a_wrong_value_comes_before_the_workdir(tiny, no_data, tmp_path):
    """ "Holds a run of another config" would send a person who mistyped to another folder."""
    optimizers.complete(tiny)
    (tmp_path / "config.json").write_text(json.dumps(workdir.flat(tiny)))
    (tmp_path / "checkpoints/00000001").mkdir(parents=True)
    tiny.optimizer.name = "sdg"
    for start in (train.train_and_evaluate, evaluation.evaluate_only):
        with pytest.raises(UserError, match=r"optimizer.name='sdg' is unknown \(did you mean"):
            start(tiny, str(tmp_path))


def test_epochs_that_a_warm_up_fills_are_refused_at_once(no_data, tmp_path):
    config = load_config("configs/resnet18.py:cifar10")
    config.epochs = 1.0
    with pytest.raises(UserError, match=r"warmup_epochs=1.0 leaves nothing of epochs=1.0; choose"):
        train.train_and_evaluate(config, str(tmp_path))
    config.schedule.warmup_epochs = 0.0  # as is advised
    config_checks.check(config)


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (
            "optimizer.learning_rte",
            "config.optimizer.learning_rte=0.1: there is no such key (did you mean "
            "'optimizer.learning_rate' or ",
        ),
        ("batchsize", "config.batchsize=0.1: there is no such key (did you mean 'batch_size'"),
        ("optimiser.name", "config.optimiser.name=0.1: there is no such key (did you mean 'optim"),
        ("model.dropot", "model.dropot=0.1 is no option of mlp (did you mean 'dropout'?)"),
        ("loss", "config.loss=0.1: config.loss is no value, it has the keys "),
    ],
)
def test_a_key_that_a_config_file_adds_is_refused(tiny, key, line, no_data, tmp_path):
    """It would be trained with as if it were not there, and kept as if it had counted."""
    if key == "loss":
        del tiny["loss"]
    section, _, name = key.rpartition(".")
    if section == "optimiser":
        tiny.optimiser = {}
    (tiny[section] if section else tiny)[name] = 0.1
    with pytest.raises(UserError) as error:
        train.train_and_evaluate(tiny, str(tmp_path))
    assert line in str(error.value)


def test_a_config_without_a_key_is_refused(tiny):
    del tiny["clip_norm"]
    with pytest.raises(UserError, match=r"^the config has no clip_norm: begin with configs.base"):
        config_checks.check(tiny)


def test_keys_of_every_shipped_config_are_known():
    for name in ("lenet5:mnist", "resnet50:imagenet2012", "artworks:finetune:folder:X"):
        config_checks.check_keys(load_config(name))
