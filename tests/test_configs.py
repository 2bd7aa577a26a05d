"""Every config is complete, loads for every dataset, and names only what its net knows."""

import importlib
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from cnn_jax import data, models
from cnn_jax.analysis import recipes
from cnn_jax.cli import load_open_config
from cnn_jax.errors import UserError
from cnn_jax.models.variables import init_variables
from cnn_jax.runtime.clock import Clock
from cnn_jax.runtime.config_files import keys_of, load_config
from cnn_jax.training import optimizers
from cnn_jax.training.config_checks import lookup
from cnn_jax.training.experiment import make_experiment, make_model
from cnn_jax.training.optimizers import make_schedule
from cnn_jax.training.train_step import undecayed_params
from cnn_jax.transfer.freezing import NetOutline
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


@pytest.mark.heavy
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


@pytest.mark.parametrize("name", NAMES)
def test_a_header_says_what_it_comes_to(name):
    """A figure on a set at hand, or that it is not trained here; never a promise."""
    header = load_module(name).__doc__
    assert "not measured" not in header
    assert re.search(r"\d %|not trained\s+here", header.partition("Price")[2])


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_header_says_what_differs_from_the_paper(name):
    """A list, or "nothing known", which a difference that the recipe's table marks forbids."""
    header = load_module(name).__doc__
    _, heading, after = header.partition("\nWhat differs from the paper:")
    assert heading, "no such section"
    recipe = f"{name}:{load_config(f'{name}:published').data.name}"
    rows = recipes.recipe_rows(load_config(recipe), recipes.published_recipes()[recipe])
    if after.startswith(" nothing known"):
        assert [row.key for row in rows if row.status == "DIFFERS"] == []
    else:
        assert re.match(r"(\n-)? \w.* ", after)


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("name", "undecayed", "decayed"),
    [
        ("mobilenet_v1", "depthwise/kernel", 15),
        ("mobilenet_v2", "depthwise/kernel", 36),
        ("mobilenet_v3", "depthwise/kernel", 49),
        # 49 convolutions, 32 kernels and 32 biases of gates, the head's two; no norm's.
        ("efficientnet", "norm/scale", 115),
    ],
)
def test_what_decays_as_in_the_authors_code(name, undecayed, decayed):
    config = load_config(f"{name}:published")
    model, shape = make_model(config, 1000), (config.data.image_size,) * 2 + (3,)
    never = undecayed_params(config, model, shape)
    assert any(path.endswith(undecayed) for path in never)
    params = jax.eval_shape(lambda: init_variables(model, 0, shape))["params"]
    mask = optimizers.decayed(params, config.optimizer.decay_vectors, never)
    assert sum(jax.tree.leaves(mask)) == decayed


def test_recipes_that_cannot_be():
    with pytest.raises(
        UserError, match="ValueError: 'cifar10' has no photographs, and the paper's"
    ):
        load_config("googlenet:published:cifar10")
    with pytest.raises(UserError, match="'published': this config has one recipe for every set, l"):
        load_config("lenet5:published")


@pytest.mark.heavy
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
    warnings = make_experiment(config).warnings
    assert [
        w for w in warnings if w.startswith(f"model.num_classes=3: {config.data.name} has 2 cl")
    ]


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


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "seresnet50", "photos", "finetune"])
def test_photographs_are_augmented_by_default(name):
    """In a folder; not what has one size, whose crops are others."""
    config = load(name, "folder:some")
    assert config.data.train_crop == "random_resized_crop(0.35, 1)"
    assert config.augment[0] == "horizontal_flip"
    assert load(name).data.train_crop == ""
    assert "horizontal_flip" not in load(name).augment


def test_the_head_is_tuned_first_and_every_other_parameter_after_it():
    config = load("finetune", "folder:some")
    shape = (config.data.image_size,) * 2 + (3,)
    outline = NetOutline.of(make_model(config, 10), shape)
    starts = {}
    for pattern, epoch in config.unfreeze:
        starts |= dict.fromkeys(outline.matching_params("unfreeze", pattern), epoch)
    assert {*outline.params} - {*starts} == {"fc/kernel", "fc/bias"}
    assert {*starts.values()} == {1.0}
    assert (config.init["from"], config.init.head) == ("resnet18.tv_in1k", "drop")
    assert 0 < config.schedule.warmup_epochs < config.epochs


@pytest.mark.parametrize(("name", "rate", "side"), [("bn_lenet", 0.5, 28), ("resnet18", 0.01, 96)])
def test_the_textbooks_runs_on_fashion_mnist(name, rate, side):
    config = load(f"{name}_d2l", "fashion_mnist")
    assert (config.optimizer.name, config.optimizer.learning_rate) == ("sgd", rate)
    assert (config.schedule.name, config.batch_size, config.epochs) == ("constant", 128, 10.0)
    assert (config.data.image_size, config.data.normalisation) == (side, "none")


def test_the_lectures_lenet_has_sigmoids_inside_and_tanh_at_f6():
    model = make_model(load("lenet5_lecture"))
    assert (model.activation, model.f6, model.norm) == ("sigmoid", "tanh", "none")


def test_gerons_alexnet_is_trained_at_224_pixels():
    config = load("alexnet_geron", "imagenet2012")
    assert (config.data.image_size, make_model(config).border) == (224, "to_227")


def test_pre_activation_on_cifar_warms_up_for_400_iterations():
    config = load("resnet164_v2_cifar", "cifar10")
    clock = Clock(45_000, config.batch_size, config.epochs)
    rate = make_schedule(config, clock)
    assert clock.total_steps == 64_000
    for step, expected in ((399, 0.01), (400, 0.1), (31_999, 0.1), (32_000, 0.01), (48_000, 1e-3)):
        assert abs(float(rate(step)) - expected) < 1e-7, step
