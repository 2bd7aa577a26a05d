"""A claim as data: what is said, by whom, what speaks against it, and what decides it here.

The protocol (variants, measure, contrast, rule, seeds, tuning, scales) is frozen before the first
run. A later change needs a dated `Deviation`, which the index shows.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnn_jax.errors import UserError, unknown
from experiments.measures import Measure
from experiments.statistics import Rule

CHAPTERS = (
    "Perceptron",
    "LeNet",
    "Activations",
    "AlexNet",
    "VGG",
    "GoogLeNet",
    "BatchNorm",
    "ResNet",
    "Modern blocks",
    "Optimisation",
    "Regularisation",
    "Transfer",
    "Evaluation",
    "Interpretation",
)
SCALES = ("laptop", "gpu", "paper")
FOLDER = Path(__file__).parent / "claims"
TUNING_SEEDS = 1000  # the first seed that rates are tuned on

Changes = Mapping[str, Any]  # {"model.pooling": "max"}: keys of a config, dotted


@dataclasses.dataclass(frozen=True)
class Scale:
    """How large a claim is run: changes of its config for every variant."""

    changes: Changes
    config: str = ""  # another config, "FILE[:ARGUMENT]"; "": the claim's
    seeds: int = 0  # 0: the claim's
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Tuning:
    """One key chosen for every variant, on seeds that the claim is not judged by.

    Where the best value is an end of the grid, the grid goes on beyond it by the same factor, at
    most `extensions` times.
    """

    key: str
    grid: tuple[float, ...]
    by: Measure
    seeds: int = 1
    extensions: int = 4

    def __post_init__(self):
        if len(self.grid) < 2 or list(self.grid) != sorted(set(self.grid)) or self.grid[0] <= 0:
            raise ValueError(f"grid={self.grid}: at least two rising positive values")


@dataclasses.dataclass(frozen=True)
class Deviation:
    """A change of the protocol after a run."""

    date: str
    what: str

    def __post_init__(self):
        datetime.date.fromisoformat(self.date)
        if not self.what.strip():
            raise ValueError(f"the deviation of {self.date} says nothing")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """One statement and its test. Texts are plain sentences; none may be empty."""

    statement: str
    chapter: str
    source: str  # who says so, with the section or table
    published: str  # the figure there
    contrary: str  # the best evidence against it
    cannot_show: str  # what this protocol leaves open
    config: str  # "FILE[:ARGUMENT]" of configs/
    variants: Mapping[str, Changes]
    contrast: Mapping[str, float]  # the effect: the sum of weight times measure
    measure: Measure
    rule: Rule
    seeds: int
    scales: Mapping[str, Scale]
    order: int = 9  # within its chapter
    bundle: str = ""  # why variants differ in more than one key, where they do
    tuning: Tuning | None = None
    probe: str = ""  # "MODULE:FUNCTION" that measures a trained run, see runner.py
    trained: bool = True  # False: the probe alone
    inputs: Mapping[str, str] = dataclasses.field(default_factory=dict)  # {name: what it is}
    deviations: tuple[Deviation, ...] = ()

    def __post_init__(self):
        for field in ("statement", "source", "published", "contrary", "cannot_show", "config"):
            if not getattr(self, field).strip():
                raise ValueError(f"{field} is empty")
        if self.chapter not in CHAPTERS:
            raise unknown("chapter", self.chapter, CHAPTERS)
        if not self.variants or not self.contrast:
            raise ValueError("variants and a contrast are needed")
        for name in self.contrast:
            if name not in self.variants:
                raise unknown("contrast", name, self.variants)
        switches = {key for changes in self.variants.values() for key in changes}
        if len(switches) > 1 and not self.bundle.strip():
            raise ValueError("variants differ in more than one key: say why in `bundle`")
        for scale in self.scales:
            if scale not in SCALES:
                raise unknown("scales", scale, SCALES)
        if not self.scales:
            raise ValueError(f"scales: name one of {', '.join(SCALES)}")
        if min(self.seeds, *(s.seeds or self.seeds for s in self.scales.values())) < (
            self.rule.least_seeds
        ):
            raise ValueError(
                f"seeds={self.seeds}: a rule of {self.rule.sides} side(s) needs "
                f"{self.rule.least_seeds}"
            )
        if not self.trained and not self.probe:
            raise ValueError("a claim without training needs a probe")

    def fingerprint(self, scale: str) -> str:
        """A hash of the frozen protocol at one scale."""
        tuning = self.tuning and {**vars(self.tuning), "by": self.tuning.by.name}
        protocol = {
            "config": self.scales[scale].config or self.config,
            "variants": {name: dict(changes) for name, changes in self.variants.items()},
            "contrast": dict(self.contrast),
            "measure": self.measure.name,
            "rule": vars(self.rule),
            "seeds": self.scales[scale].seeds or self.seeds,
            "changes": dict(self.scales[scale].changes),
            "tuning": tuning,
            "probe": self.probe,
        }
        text = json.dumps(protocol, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def names() -> list[str]:
    """Every claim, in the order of the course."""
    found = [path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__"]

    def place(name: str) -> tuple[int, int, str]:
        claim = load(name)
        return CHAPTERS.index(claim.chapter), claim.order, name

    return sorted(found, key=place)


def load(name: str) -> Claim:
    """The claim of experiments/claims/NAME.py; raises `UserError` where it is none."""
    files = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")
    if name not in files:
        raise unknown("claim", name, files)
    try:
        claim = importlib.import_module(f"experiments.claims.{name}").CLAIM
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(f"experiments/claims/{name}.py: {error}") from error
    if not isinstance(claim, Claim):
        raise UserError(f"experiments/claims/{name}.py: CLAIM is no Claim but {claim!r:.80}")
    return claim
