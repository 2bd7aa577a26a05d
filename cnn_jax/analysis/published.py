"""Published accuracies and sizes, from `published.csv`.

`population` is what the figures are of: which images, and how many. `crop_*` is the accuracy from a
single centre crop, the one protocol under which nets can be set side by side: the authors' figure
where they published one, otherwise that of weight files (`crop_by`: Caffe's or torchvision's first
ones). `paper_*` is what the paper prints, under its own protocol; its parameters and multiply-adds
are kept as printed. Where a figure is of another net than the one of that name here, `crop_net` and
`paper_net` say of which. Receptive fields are those of Araujo, Norris, Sim 2019.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("published.csv")
WHOLE_VAL = "ILSVRC-2012 val, 50,000"  # any other population is not to be set beside it unsaid


@dataclasses.dataclass(frozen=True)
class Published:
    """One net's figures; accuracies in percent, empty texts where none is published."""

    name: str
    population: str
    crop_top1: float | None
    crop_top5: float | None
    crop_by: str
    crop_protocol: str
    crop_net: str
    paper_top1: float | None
    paper_top5: float | None
    paper_protocol: str
    paper_net: str
    paper_parameters: str
    paper_multiply_adds: str
    receptive_field: int | None
    paper: str

    @property
    def crop_is_own(self) -> bool:
        """Whether the single-crop figure is the authors' own, of this very net."""
        return self.crop_by == "authors" and not self.crop_net


NUMBERS = {
    "crop_top1": float,
    "crop_top5": float,
    "paper_top1": float,
    "paper_top5": float,
    "receptive_field": int,
}


@functools.cache
def published_figures() -> dict[str, Published]:
    """Name -> its published figures."""
    with TABLE.open(newline="") as file:
        return {row["name"]: Published(**parse_row(row)) for row in csv.DictReader(file)}


def parse_row(row: dict[str, str]) -> dict[str, Any]:
    numbers = {key: kind(row[key]) if row[key] else None for key, kind in NUMBERS.items()}
    return {**row, **numbers}
