"""Everything that a config may name is listed, with a line that says what it is."""

from typing import Literal

import pytest

from cnn_jax import models
from cnn_jax.analysis import choices
from cnn_jax.data.augment import TRANSFORMS
from cnn_jax.data.images.eval_protocols import PROTOCOLS, SINGLE
from cnn_jax.models.options import Rate
from cnn_jax.training.losses import LOSSES
from cnn_jax.training.optimizers import SCALINGS, SCHEDULES

NAMES = {
    "nets": models.names(),
    "optimizers": SCALINGS,
    "schedules": SCHEDULES,
    "losses": LOSSES,
    "augment": TRANSFORMS,
    "protocols": [SINGLE, *PROTOCOLS],
}


@pytest.mark.parametrize("kind", choices.LISTS)
def test_every_name_has_a_line(kind):
    lines = choices.LISTS[kind]()
    assert set(lines) == set(NAMES.get(kind, lines))
    for name, text in lines.items():
        assert text.strip(), name
        assert "\n" not in text


def test_an_item_of_two_lines_is_one():
    def function():
        """What it does:

        - `a`: begins here
          and ends here
        - `b`, `c`: is one line

        Another paragraph.
        """

    assert choices.listed_in(function) == {
        "a": "begins here and ends here",
        **dict.fromkeys("bc", "is one line"),
    }


def test_a_net_s_line_says_what_its_name_fixes():
    assert choices.nets()["plain34"].startswith("depth=34, shortcut=none. ResNet: He, Zhang")


def test_options_have_their_choices_and_the_default_of_the_name():
    rows = {name: rest for name, *rest in choices.option_rows(models.REGISTRY["resnet50_cbam"])}
    assert rows["attention"][1] == "'cbam'"
    assert "cbam" in rows["attention"][0].split(" | ")
    assert rows["scan"] == ["True | False", "False"]
    assert "depth" not in rows  # fixed by the name


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (bool, "True | False"),
        (float, "float"),
        (Rate, "float >= 0 and < 1"),
        (Literal["a", 2], "a | 2"),
        (tuple[int, ...], "tuple[int, ...]"),
        (int | None, "int | None"),
    ],
)
def test_types_are_written_as_choices(kind, text):
    assert choices.choices_text(kind) == text
