"""Every registered net is pinned to exact counts; counts/*.csv say where each comes from."""

import ast
import csv
import pathlib
import re

import pytest

from cnn_jax import models
from cnn_jax.analysis.stages import summarize

ROWS = [  # a file a paper, named as the model's file
    row
    for path in sorted((pathlib.Path(__file__).parent / "counts").glob("*.csv"))
    for row in csv.DictReader(path.read_text().splitlines())
]
# A second of tracing, and more: deep nets, and those of many small layers.
LONG = re.compile(
    r"(101|110|152|164|200|1001|1202)(_|$)|efficientnet|inception|googlenet|mobilenet_v3|convnext"
)
CASES = [
    pytest.param(
        row,
        id=f"{row['name']} {row['options']} {row['input_size']}",
        marks=[pytest.mark.heavy] if LONG.search(row["name"]) else [],
    )
    for row in ROWS
]


def parse(options):
    """`"towers=1;kernels=half"` -> {"towers": 1, "kernels": "half"}."""
    out = {}
    for pair in filter(None, options.split(";")):
        key, value = pair.split("=")
        try:
            out[key] = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            out[key] = value
    return out


@pytest.mark.parametrize("row", CASES)
def test_counts(row):
    """Parameters (heads' included), BatchNorm statistics and multiply-adds, to the unit."""
    net = models.create(row["name"], **parse(row["options"]))
    side, channels = int(row["input_size"]), models.REGISTRY[row["name"]].input_shape[-1]
    summary = summarize(net, (side, side, channels))
    assert summary.parameters == int(row["params"])
    assert summary.statistics == int(row["batch_stats"])
    if row["macs"]:
        assert summary.multiply_adds == int(row["macs"])


def test_tables_and_registry_name_the_same_set():
    assert {row["name"] for row in ROWS if not row["options"]} == set(models.names())


def test_every_name_has_multiply_adds_at_its_own_size():
    own = {(row["name"], row["input_size"]) for row in ROWS if not row["options"] and row["macs"]}
    sizes = {(name, str(net.input_shape[0])) for name, net in models.REGISTRY.items()}
    assert sizes <= own


def test_every_row_has_a_source():
    assert all(row["source"] for row in ROWS)
