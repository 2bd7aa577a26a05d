"""A layer that cannot learn is refused before the first step, by whatever keys it came to that."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.errors import UserError
from cnn_jax.runtime.config_files import load_config
from cnn_jax.training import experiment
from cnn_jax.training.experiment import check_config, make_experiment
from cnn_jax.training.net import make_model
from cnn_jax.training.net_checks import check_norms, trace


def changed(config, **values):
    config = config.copy_and_resolve_references()
    config.update_from_flattened_dict({key.replace("__", "."): v for key, v in values.items()})
    return config


def sizes(config, images, size=32):
    return {n.path: n.values for n in trace(make_model(config, 10), (size, size, 3), images).norms}


def test_values_of_each_norm_are_images_times_pixels():
    """ResNet-18 at 32 pixels: the stem's maps are 16x16, the stages' 8x8, 4x4, 2x2, 1x1."""
    found = sizes(load_config("resnet18"), 3)
    assert len(found) == 20
    assert found["conv1_norm"] == 3 * 16 * 16
    assert [found[f"layer{i}_1/conv1_norm"] for i in (1, 2, 3, 4)] == [3 * 64, 3 * 16, 3 * 4, 3]


def test_group_and_instance_norms_take_no_other_images(tiny):
    tiny.model.norm = "group"  # 16 units in gcd(32, 16) groups: one value each
    assert sizes(tiny, 8, 8) == sizes(tiny, 2, 8) == {"norm1": 1}
    tiny.model.norm = "layer"
    assert sizes(tiny, 8, 8) == {"norm1": 16}


@pytest.mark.heavy
def test_one_value_puts_out_the_bias_and_has_no_gradient(tiny):
    """What is refused: whatever the image, the net answers the same."""
    model = make_model(tiny, 10)
    images = jax.random.normal(jax.random.key(0), (2, 8, 8, 1))
    variables = model.init(jax.random.key(1), images[:1])

    def logits(image):
        return model.apply(
            variables, image[None], train=True, mutable=["batch_stats"], rngs={"dropout": key}
        )[0].logits

    key = jax.random.key(2)
    np.testing.assert_array_equal(logits(images[0]), logits(images[1]))
    assert not jnp.any(jax.jacobian(logits)(images[0]))


REFUSED = {
    "alone": {"batch_size": 1},
    "accumulated": {"batch_size": 4, "accumulate": 4},
    "by device": {"batch_size": 8, "devices": 8, "parallel": "pmap"},
    "by device in parts": {"batch_size": 8, "devices": 4, "parallel": "pmap", "accumulate": 2},
}


@pytest.mark.parametrize("keys", REFUSED.values(), ids=REFUSED)
def test_batch_norm_over_one_value_is_refused_and_the_advice_is_accepted(tiny, keys, monkeypatch):
    monkeypatch.setattr(experiment.data, "load", None)  # before any of it
    config = changed(tiny, **keys)
    with pytest.raises(UserError, match=r"^'norm1' of mlp takes .* over one value \(batch") as e:
        make_experiment(config)
    for key, value in keys.items():
        assert key == "devices" or f"{key}={value!r}" in str(e.value)
    advice = int(str(e.value).partition("choose batch_size=")[2].split()[0])
    check_config(changed(config, batch_size=advice))
    assert warnings_of(changed(config, batch_size=advice)) == []


def warnings_of(config):
    replicas = config.devices if config.parallel == "pmap" else 1
    return check_norms(config, make_model(config, 10), (8, 8, 1), replicas)


@pytest.mark.parametrize("values", [2, 4, 5])
def test_batch_norm_over_few_values_is_warned_of(tiny, values):
    lines = make_experiment(changed(tiny, batch_size=values)).warnings
    if values == 5:
        assert lines == []
        return
    (line,) = lines
    assert f"over {values} values (batch_size={values}, data.image_size=8): rough " in line
    assert line.endswith("choose batch_size=5 or more")


def test_size_of_the_image_decides():
    """ResNet-18's last maps are 1x1 at 32 pixels and 2x2 at 64: two images give 2 and 8 values."""
    config = changed(load_config("resnet18"), batch_size=1, devices=1)
    with pytest.raises(UserError, match=r"'layer4_0/\w+' of resnet18 .* one value"):
        check_config(config)
    model = make_model(config, 10)
    (line,) = check_norms(config, model, (64, 64, 3), 1)
    assert "over 4 values" in line
    assert check_norms(config, model, (96, 96, 3), 1) == []


@pytest.mark.parametrize("kind", ["group", "instance"])
def test_norms_of_one_image_over_one_value_are_refused(kind):
    config = load_config("resnet18")
    config.model.norm = kind
    if kind == "group":  # stages of 64 to 512 channels in 32 groups: two to 16 values each
        check_config(config)
        return
    with pytest.raises(UserError, match=r"one value \(data.image_size=32\).*model.norm='layer'$"):
        check_config(config)
    config.model.norm = "layer"
    check_config(config)


def test_population_statistics_take_none_of_the_batch(tiny):
    """A single image at a time is the usual way to fine-tune with norms held still."""
    config = changed(tiny, batch_size=1, freeze=("hidden1", "norm1"))
    assert make_experiment(config).warnings[0].startswith("freeze: without init.from")
    with pytest.raises(UserError, match=r"'norm1' of mlp takes mean and variance over one value"):
        make_experiment(changed(config, freeze_norm="freeze_affine"))
    later = changed(config, unfreeze=(("norm1", 1.0),))  # from then on it takes the batch's
    with pytest.raises(UserError, match=r"'norm1' of mlp takes mean and variance over one value"):
        make_experiment(later)


@pytest.mark.heavy
def test_auxiliary_heads_without_a_weight_show_before_the_data(monkeypatch):
    monkeypatch.setattr(experiment.data, "load", None)
    config = changed(load_config("googlenet:imagenet2012"), devices=1)
    config.loss.auxiliary_weights = ()
    with pytest.raises(UserError, match=r"like loss.auxiliary_weights=\(0.3, 0.3\)$"):
        make_experiment(config)
