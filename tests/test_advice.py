"""What an error advises is done, word for word, and must be accepted."""

import ast
import re

import numpy as np
import pytest

from cnn_jax.errors import UserError
from cnn_jax.runtime.config_files import load_config
from cnn_jax.training.experiment import make_experiment
from tests.support import folders

ADVICE = re.compile(
    r"(?:(?:choose|set|like|and) (?:--)?(?:config\.)?|--config\.)([a-z_.]+)=(\([^)]*\)+|[^\s;:]+)"
)
NEAREST = re.compile(r"^(?:\w+: )?([a-z_.]+)=\S+ is unknown \(did you mean '([\w.]+)'")


def followed(config, message):
    """A copy of the config with the last key that the message advises set as it says."""
    advice = ADVICE.findall(message) or NEAREST.findall(message)
    assert advice, message
    config = config.copy_and_resolve_references()
    for key, text in advice:
        try:
            value = ast.literal_eval(text.rstrip(",."))
        except ValueError:
            value = text  # a name without quotes
        *sections, last = key.split(".")
        node = config
        for section in sections:
            node = node[section]
        node[last] = (
            type(node[last])([value]) if isinstance(value, str) and key == "augment" else value
        )
    return config


def attempt(config):
    """(an experiment, or None; the line that refuses it, or its warnings)."""
    try:
        experiment = make_experiment(config)
        return experiment, "; ".join(experiment.warnings)
    except UserError as error:
        return None, str(error)


OF_DIGITS = {
    "batch norm of one": {"batch_size": 1},
    "batch norm of two": {"batch_size": 2},
    "group norm of one": {"model.norm": "group"},
    "batch over devices": {"devices": 8, "batch_size": 100},
    "batch over parts": {"accumulate": 7},
    "devices": {"devices": 9},
    "warm-up": {"schedule.warmup_epochs": 2.0},
    "rate inside": {"optimizer.rate_inside": True},
    "decoupled": {"optimizer.name": "rmsprop_tf", "optimizer.weight_decay_kind": "decoupled"},
    "adadelta": {"optimizer.name": "adadelta", "optimizer.learning_rate": 1e-3},
    "fit": {"data.image_size": 4, "data.fit": "pad"},
    "channels": {"data.normalisation": "imagenet", "data.channels": 1},
    "crop of an array": {"data.train_crop": "random_resized_crop"},
    "held out": {"data.validation": 5.0},
    "optimizer": {"optimizer.name": "adm"},
    "schedule": {"schedule.name": "cosin"},
    "loss": {"loss.name": "softmax_crossentropy"},
    "augment": {"augment": ("flip",)},
    "net": {"model.name": "mpl"},
    "norm": {"model.norm": "bach"},
}
# A warning of a transform that was asked for, whatever its name.
ABOUT_DIGITS = re.compile(r"augment '\w+' does not keep the labels of digits: [^;]*$")
TIMES = {"decoupled": {"optimizer.weight_decay": 0.1}}


@pytest.mark.parametrize("name", OF_DIGITS)
def test_advice_on_a_set_of_arrays_is_accepted(tiny, name):
    tiny.update_from_flattened_dict(OF_DIGITS[name] | TIMES.get(name, {}))
    _, line = attempt(tiny)
    assert line, "nothing was wrong"
    again, left = attempt(followed(tiny, line))
    assert again is not None, left
    assert left == "" or ABOUT_DIGITS.match(left), f"{line} -> {left}"


@pytest.mark.parametrize(
    ("name", "counts", "changes"),
    [
        ("few", {"a": 20, "b": 20, "c": 2}, {"data.test": 1.0, "data.validation": 0.0}),
        (
            "kept in memory",
            {},
            {"data.train_crop": "scale_jitter(16, 20)", "data.streaming": False},
        ),
        ("several steps", {}, {"data.streaming": True, "steps_per_dispatch": 4}),
        ("sliding", {}, {"protocol": "dense(32)"}),
        ("broken", {}, {}),
    ],
)
def test_advice_on_a_folder_is_accepted(tiny, tmp_path, name, counts, changes):
    root = folders.make(tmp_path, counts or {"a": 20, "b": 20})
    if name == "broken":
        (root / "a/a_03.jpg").write_bytes(b"text")
    tiny.data.update({"name": f"folder:{root}", "channels": 3, "test": 0.2, "validation": 0.2})
    tiny.update_from_flattened_dict({"batch_size": 8, "data.image_size": 16, "data.fit": "crop"})
    tiny.model.num_classes = 0
    tiny.update_from_flattened_dict(changes)
    made, line = attempt(tiny)
    assert made is None, "nothing was wrong"
    again, left = attempt(followed(tiny, line))
    assert again is not None, f"{line} -> {left}"
    assert np.prod(again.dataset.train.image_shape) == 16 * 16 * 3


@pytest.mark.parametrize(
    "net",
    [
        *("alexnet", "lenet5_1998"),
        *(
            pytest.param(n, marks=pytest.mark.slow)
            for n in ("googlenet", "resnet50", "inception_v3")
        ),
    ],
)
def test_the_size_that_a_net_asks_for_is_enough(net):
    config = load_config("resnet18:digits")
    config.devices, config.model = 1, {"name": net, "num_classes": 10}
    config.data.image_size = 8
    config.loss.auxiliary_weights = ()
    lines = []
    while "image_size=" in (line := attempt(config)[1]) and len(lines) < 2:
        lines.append(line)
        config = followed(config, line)
    assert len(lines) <= 1, lines
    if "auxiliary_weights" in line:
        line = attempt(followed(config, line))[1]
    assert line == ""
