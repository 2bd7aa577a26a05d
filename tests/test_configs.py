"""Every config is complete, loads for every dataset, and names only what its net knows."""

import importlib
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from cnn_jax import data, models
from cnn_jax.cli import load_open_config
from cnn_jax.errors import UserError
from cnn_jax.runtime.config_files import keys_of, load_config
from cnn_jax.training.config_checks import lookup
from cnn_jax.training.experiment import make_experiment, make_model
from configs.base import DATASETS, FACTS, base
from tests.support import folders

NAMES = sorted(
    path.stem
    for path in (Path(__file__).parents[1] / "configs").glob("*.py")
    if path.stem not in ("__init__", "base")
)


def load_module(name):
    return importlib.import_module(f"configs.{name}")


def load(name, *argument):
    return load_module(name).get_config(*argument)


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


PUBLISHED = [name for name in NAMES if hasattr(load_module(name), "as_published")]


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_papers_recipe_goes_with_any_folder(name):
    """Nothing but what belongs to the data is another's."""
    own = load_config(f"{name}:published")
    assert own.data.name == getattr(load_module(name), "PUBLISHED_ON", "imagenet2012")
    assert (
        own
        == load_config(f"{name}:{own.data.name}")
        == load_config(f"{name}:published:{own.data.name}")
    )
    other = load_config(f"{name}:published:folder:some/where")
    values, others = (
        {key: lookup(config, key) for key in keys_of(config)} for config in (own, other)
    )
    changed = {key for key in values if values[key] != others[key]}
    assert changed - {"data.fit"} == {
        *("name", "data.name", "data.validation", "data.test", "model.num_classes")
    }
    assert (other.data.name, other.data.fit) == ("folder:some/where", "crop")
    assert (other.model.num_classes, other.data.validation, other.data.test) == (0, 0.1, 0.1)


def test_recipes_that_cannot_be():
    with pytest.raises(
        UserError, match="ValueError: 'cifar10' has no photographs, and the paper's"
    ):
        load_config("googlenet:published:cifar10")
    with pytest.raises(UserError, match="'published': this config has one recipe for every set, l"):
        load_config("lenet5:published")


def test_imagenet_of_two_folders_is_no_imagenet(tmp_path):
    """1,000 outputs for two classes are refused, and the advice is followed."""
    folders.make(tmp_path / "imagenet2012", {"cat": 5, "dog": 5}, ("train", "val"))
    config = load_config("resnet18:imagenet2012")
    config.devices = 1
    config.data.dir, config.data.image_size, config.batch_size = str(tmp_path), 32, 8
    with pytest.raises(UserError, match="=1000, and there are 2 classes in data"):
        make_experiment(config)
    config.model.num_classes = 0
    assert make_experiment(config).step_spec.model.num_classes == 2
    config.data.name, config.model.num_classes = f"folder:{tmp_path}/imagenet2012", 3
    assert make_experiment(config).warnings[-1].startswith("model.num_classes=3: folder:")


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


@pytest.mark.parametrize(("name", "rate", "side"), [("bn_lenet", 0.5, 28), ("resnet18", 0.01, 96)])
def test_the_textbooks_runs_on_fashion_mnist(name, rate, side):
    config = load(f"{name}_d2l", "fashion_mnist")
    assert (config.optimizer.name, config.optimizer.learning_rate) == ("sgd", rate)
    assert (config.schedule.name, config.batch_size, config.epochs) == ("constant", 128, 10.0)
    assert (config.data.image_size, config.data.normalisation) == (side, "none")
