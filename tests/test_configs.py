"""Every config is complete, loads for every dataset, and names only what its net knows."""

import importlib
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from cnn_jax import data, models
from cnn_jax.cli import load_open_config
from cnn_jax.training.experiment import make_model
from configs.base import DATASETS, FACTS, base

NAMES = sorted(
    path.stem
    for path in (Path(__file__).parents[1] / "configs").glob("*.py")
    if path.stem not in ("__init__", "base")
)


def load(name, *argument):
    return importlib.import_module(f"configs.{name}").get_config(*argument)


def test_every_dataset_has_its_facts():
    assert sorted(FACTS) == sorted(name.partition(":")[0] for name in data.names())


@pytest.mark.parametrize("name", NAMES)
def test_every_option_of_a_configs_net_is_a_key(name):
    """So that each ablation is one `--config.model.option=value`; open ones change nothing."""
    config = load_open_config(f"configs/{name}.py")
    options = models.REGISTRY[config.model.name].options()
    assert set(config.model) - {"name", "num_classes"} == set(options)
    for key, option in options.items():
        assert config.model.get_type(key) is option.type
    assert make_model(config) == make_model(load(name))


@pytest.mark.parametrize("name", NAMES)
def test_a_config_has_the_keys_of_the_base_and_its_command(name):
    config = load(name)
    missing = set(base("x", "digits", 8)) - set(config)
    assert not missing
    module = importlib.import_module(f"configs.{name}")
    assert f"python -m cnn_jax.main --config=configs/{name}.py" in module.__doc__
    assert config.data.name == "digits"


@pytest.mark.parametrize("name", NAMES)
def test_the_net_takes_the_images_of_datasets(name):
    """One of grey digits, one of 100 classes in colour, the regression: all shapes that occur."""
    for dataset in ("digits", "cifar100", "digits_angle"):
        facts = DATASETS[dataset]
        config = load(name, dataset)
        model = make_model(config)
        shape = (1, config.data.image_size, config.data.image_size, config.data.channels)
        out = jax.eval_shape(
            lambda m=model, s=shape: m.init_with_output(jax.random.key(0), jnp.zeros(s))[0]
        )
        assert out.logits.shape == (1, facts["classes"]), (name, dataset)


def test_the_rows_of_the_paintings():
    """What is trained, at which rate, from what; and a row that does not exist."""
    from configs import artworks

    rows = {row: artworks.get_config(f"{row}:folder:some") for row in artworks.ROWS}
    assert rows["scratch"].data.name == rows["finetune"].data.name == "folder:some"
    assert artworks.get_config("scratch").data.name == "folder:paintings"
    for row, config in rows.items():
        tuned = row in artworks.FROZEN
        assert config.optimizer.learning_rate == (3e-4 if tuned else 3e-3)
        assert bool(config.init["from"]) == tuned
        assert (config.data.image_size, config.data.channels) == (224, 3)
    model = make_model(rows["modified"], 10)
    changes = (model.activation, model.depthwise, model.attention)
    assert changes == ("gelu", True, "cbam")
    with pytest.raises(ValueError, match="'finetun' is no row; choices: scratch, finetune, "):
        artworks.get_config("finetun")
