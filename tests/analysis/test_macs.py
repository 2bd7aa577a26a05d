"""Multiply-adds of every net in counts.csv, to the unit, and by two independent rules."""

import ast
import csv
import math
import pathlib

import jax
import jax.numpy as jnp
import pytest

from cnn_jax import models
from cnn_jax.analysis.stages import summarize

TABLE = pathlib.Path(__file__).parents[1] / "counts.csv"
with TABLE.open(newline="") as file:
    ROWS = [row for row in csv.DictReader(file) if row["macs"]]


def label(row):
    return f"{row['name']} {row['options']} {row['input_size']}"


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


@pytest.mark.parametrize("row", ROWS, ids=label)
def test_multiply_adds(row):
    module = models.create(row["name"], **parse(row["options"]))
    side, channels = int(row["input_size"]), models.REGISTRY[row["name"]].input_shape[-1]
    summary = summarize(module, (side, side, channels))
    assert summary.multiply_adds == int(row["macs"])
    assert summary.parameters == int(row["params"])
    assert summary.statistics == int(row["batch_stats"])
