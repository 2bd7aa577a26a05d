"""The thousand classes of ImageNet (ILSVRC 2012): as folders call them, and in words.

Where the table is from says `imagenet_classes.md`.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Sequence
from pathlib import Path

FILE = Path(__file__).with_name("imagenet_classes.csv")


@functools.cache
def names_by_wnid() -> dict[str, str]:
    """{"n01440764": "tench", ...} in the order of the outputs of published weights."""
    with open(FILE, newline="") as file:
        return {row["wnid"]: row["name"] for row in csv.DictReader(file)}


def class_names() -> tuple[str, ...]:
    """Their names in words, in order; no two are alike."""
    return tuple(names_by_wnid().values())


def in_words(classes: Sequence[str]) -> tuple[str, ...]:
    """Classes that are all called by ImageNet's identifiers, in words; others as they are."""
    known = names_by_wnid()
    if classes and all(name in known for name in classes):
        return tuple(known[name] for name in classes)
    return tuple(classes)
