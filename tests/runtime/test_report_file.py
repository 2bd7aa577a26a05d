"""A report that holds something else is refused by name; what the project writes is taken."""

import json

import pytest

from cnn_jax.runtime.json_shape import check_shape
from cnn_jax.runtime.report_file import read_report

WHOLE = {"split": "test", "protocol": "single_crop", "examples": 8, "loss": 0.5}


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"accuracy": [1]}, "'accuracy' is of type list, not a number"),
        ({"accuracy": True}, "'accuracy' is of type bool, not a number"),
        ({"loss": "0.5"}, "'loss' is of type str, not a number"),
        ({"examples": 0}, "'examples' is 0"),
        ({"classes": 3}, "'classes' is of type int, not values by key"),
        ({"classes": {"cat": {}}}, "'classes.cat' has no key 'precision'"),
        ({"accuracy_interval": [0.1]}, "'accuracy_interval' holds 1 values, not 2"),
        ({"confusion_matrix": [[1]]}, "'confusion_matrix' is not of 0 classes each way"),
        ({"calibration": [1]}, "'calibration' is of type list, not values by key"),
        ({"top_losses": {"a": 1}}, "'top_losses' is of type dict, not a list"),
        ({"split": None}, "'split' is of type NoneType, not text"),
    ],
)
def test_damaged_report(tmp_path, changes, wanted):
    (tmp_path / "report.json").write_text(json.dumps(WHOLE | changes))
    with pytest.raises(ValueError, match="^" + wanted.replace("(", r"\(")):
        read_report(tmp_path)


def test_whole_report(tmp_path):
    whole = WHOLE | {"accuracy": 1, "accuracy_interval": None, "of_later_versions": [{}]}
    (tmp_path / "report.json").write_text(json.dumps(whole))
    assert read_report(tmp_path) == whole


def test_missing_key():
    with pytest.raises(ValueError, match=r"^it has no key 'a'$"):
        check_shape({}, {"a": int})
    check_shape({"a": 1, "b": [[1, "x"]]}, {"a": float, "b": [(int, str)], "c?": str})
    check_shape({"x": 1, "y?": 2}, {str: int})
