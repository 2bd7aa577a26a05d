"""Every registered net is pinned to an exact count; counts.csv says where each comes from."""

import ast
import csv
import math
import pathlib

import jax
import jax.numpy as jnp
import pytest

from cnn_jax import models

TABLE = pathlib.Path(__file__).parents[1] / "counts.csv"
with TABLE.open(newline="") as file:
    ROWS = list(csv.DictReader(file))


def parse(options):
    """`"towers=1;kernels=half"` -> {"towers": 1, "kernels": "half"}."""
    out = {}
    for pair in filter(None, options.split(";")):
        key, value = pair.split("=")
        try:
            out[key] = ast.literal_eval(value)
        except ValueError:
            out[key] = value
    return out


def shapes(row):
    """The variables' shapes, as `init` makes them."""
    net = models.create(row["name"], **parse(row["options"]))
    channels = models.REGISTRY[row["name"]].input_shape[-1]
    images = jax.ShapeDtypeStruct((1, *[int(row["input_size"])] * 2, channels), jnp.float32)
    key = jax.random.key(0)
    return jax.eval_shape(
        lambda x: net.init({"params": key, "dropout": key}, x, train=True), images
    )


def size(tree):
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join([row["name"], row["options"]]))
def test_counts(row):
    variables = shapes(row)
    assert size(variables["params"]) == int(row["params"])
    assert size(variables.get("batch_stats", {})) == int(row["batch_stats"])
    assert set(variables) <= {"params", "batch_stats"}


def test_table_and_registry_name_the_same_set():
    assert {row["name"] for row in ROWS if not row["options"]} == set(models.names())


def test_every_row_has_a_source():
    assert all(row["source"] for row in ROWS)
