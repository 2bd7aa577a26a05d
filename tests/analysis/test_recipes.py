"""Recipes beside their papers: complete, computed from the configs, every change marked."""

import csv

import pytest

from cnn_jax.analysis import recipes
from cnn_jax.errors import UserError
from cnn_jax.runtime.config_files import keys_of, load_config, load_module
from cnn_jax.runtime.shipped_configs import shipped_configs

PUBLISHED = recipes.published_recipes()
NAMES = list(PUBLISHED)


def rows_of(recipe, **changes):
    config = load_config(recipe)
    config.update_from_flattened_dict({k.replace("__", "."): v for k, v in changes.items()})
    return {row.key: row for row in recipes.recipe_rows(config, PUBLISHED[recipe])}


def test_every_config_with_a_recipe_of_a_paper_is_in_the_table():
    modules = {path.stem: load_module("config", path) for path in shipped_configs()}
    with_one = {name for name, module in modules.items() if hasattr(module, "as_published")}
    assert {name.partition(":")[0] for name in NAMES} == with_one


def test_a_row_names_a_key_once_with_its_source():
    keys = [key for keys in recipes.POINTS.values() for key in keys]
    assert len(keys) == len({*keys}) == len({*keys} & {*keys_of(load_config("lenet5"))})
    with recipes.TABLE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len({(row["recipe"], row["key"]) for row in rows})
    for row in rows:
        assert row["key"] in keys, row
        assert row["source"], row
        assert row["silent"] in ("", "silent"), row


@pytest.mark.parametrize("recipe", NAMES)
def test_every_recipe_has_every_point(recipe):
    """And each key that the config uses has a source: no value is ours without saying so."""
    rows = recipes.recipe_rows(load_config(recipe), PUBLISHED[recipe])
    assert {row.point for row in rows} == {*recipes.POINTS}
    unsourced = [row.key for row in rows if row.key not in (*PUBLISHED[recipe], *recipes.OFF)]
    assert unsourced == []


@pytest.mark.parametrize("recipe", NAMES)
def test_a_changed_value_is_marked(recipe):
    """Each key that is the paper's, or whose value is another's, one after another."""
    rows = recipes.recipe_rows(load_config(recipe), PUBLISHED[recipe])
    values = recipes.values_of(load_config(recipe))
    for row in rows:
        if row.status == "DIFFERS":
            continue
        changed = recipes.recipe_row(
            row.point, row.key, another(values[row.key]), PUBLISHED[recipe].get(row.key)
        )
        assert changed.status == "DIFFERS", row
        assert changed.config != row.config


def another(value):
    """A value that it is not."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value * 2 + 1
    return (*value, "hue(0.1)") if isinstance(value, tuple) else f"{value}_other"


def test_a_config_s_change_reaches_the_table():
    assert rows_of("googlenet:imagenet2012")["schedule.gamma"].status == "same"
    row = rows_of("googlenet:imagenet2012", schedule__gamma=0.9)["schedule.gamma"]
    assert row[2:5] == ("0.96", "0.9", "DIFFERS")
    row = rows_of("googlenet:imagenet2012", batch_size=64)["batch_size"]
    assert row[2:5] == ("silent (32)", "64", "DIFFERS")
    row = rows_of("googlenet:imagenet2012", clip_norm=1.0)["clip_norm"]
    assert row[2:] == ("none", "1", "DIFFERS", "not mentioned")


def test_keys_that_the_config_does_not_read_are_left_out():
    rows = rows_of("googlenet:imagenet2012")
    assert "optimizer.b1" not in rows
    assert "schedule.at_epochs" not in rows
    assert "data.resize" in rows_of("mobilenet_v2:imagenet2012")
    unsaid = {k: v for k, v in PUBLISHED["mobilenet_v2:imagenet2012"].items() if k != "data.resize"}
    config = load_config("mobilenet_v2:imagenet2012")
    config.protocol = "ten_crop(256)"
    assert "data.resize" not in {row.key for row in recipes.recipe_rows(config, unsaid)}


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (0.1, 0.1 * (1 + 1e-9), True),
        (1, 1.0, True),
        (True, 1, False),
        ((), None, True),
        (0.0, "", True),
        (("horizontal_flip",), ("horizontal_flip(0.5)",), True),
        (("horizontal_flip",), ("horizontal_flip(0.25)",), False),
        ("ten_crop", "ten_crop(256)", True),
        ("random_resized_crop", "random_resized_crop(0.08, 1)", True),
        (("horizontal_flip",), "flips", False),
    ],
)
def test_values_agree(a, b, same):
    assert recipes.agree(a, b) is same


def test_a_net_of_the_same_paper_has_its_recipe():
    recipe, config = recipes.recipe_of("efficientnet_b4")
    assert (recipe, config.model.name) == ("efficientnet:imagenet2012", "efficientnet_b0")
    assert recipes.recipe_of("resnet18")[0] == "resnet18:imagenet2012"
    with pytest.raises(UserError, match="mlp: no config has its paper's recipe; those that"):
        recipes.recipe_of("mlp")
    with pytest.raises(UserError, match=r"model\.name='resnet5' is unknown"):
        recipes.recipe_of("resnet5")


def test_literals():
    assert recipes.literal("(0.3, 0.3)") == (0.3, 0.3)
    assert recipes.literal("Polyak averaging") == "Polyak averaging"
