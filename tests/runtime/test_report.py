"""What a terminal shows of a run's end, word for word."""

import sys
import types

import pytest

from cnn_jax.runtime import report
from cnn_jax.runtime.command_line import words_of_command


def test_a_report_says_which_weights_it_is_of():
    found = {"step": 1220}
    best = "the report is of step 1,220 (epoch 3.02), the best on validation"
    assert report.origin_text(found, 3.017, "validation") == best
    last = "the report is of step 1,220 (epoch 3.02), the last"
    assert report.origin_text(found, 3.017, "test") == last


def test_a_matrix_numbers_its_columns():
    found = {"confusion_matrix": [[5, 0], [2, 13]], "classes": {"ash": {}, "elm": {}}}
    assert report.matrix_table(found)[1:] == [
        "         0  1",
        "ash  0   5  .",
        "elm  1   2 13",
    ]
    found["classes"] = {"0": {}, "1": {}}  # the numbers are the names
    assert report.matrix_table(found)[1:] == [
        "    0  1",
        "0   5  .",
        "1   2 13",
    ]


@pytest.mark.parametrize(
    ("main", "words"),
    [
        ({"COMMAND": "cnn_jax train"}, ["cnn_jax", "train"]),
        (
            {"__spec__": types.SimpleNamespace(name="cnn_jax.main")},
            ["python", "-m", "cnn_jax.main"],
        ),
        ({"__spec__": types.SimpleNamespace(name="x.__main__")}, ["python", "-m", "x"]),
        ({"__spec__": None}, ["python", "mine.py"]),
    ],
)
def test_a_command_is_given_as_it_is_typed(main, words, monkeypatch):
    monkeypatch.setitem(sys.modules, "__main__", types.SimpleNamespace(**main))
    monkeypatch.setattr(sys, "argv", ["mine.py", "--config=lenet5"])
    assert words_of_command() == [*words, "--config=lenet5"]
