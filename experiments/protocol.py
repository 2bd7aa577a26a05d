"""From a claim to the runs that it needs, and from their records to its result."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable, Mapping
from typing import Any

from cnn_jax.errors import UserError
from experiments.claim import TUNING_SEEDS, Changes, Claim, Tuning
from experiments.runner import Job
from experiments.statistics import NO_EFFECT, NOT_DECIDED, judge

Find = Callable[[Job], dict[str, Any] | None]
PLACEBO_SEEDS = 500  # what separates the seeds of two equal arms


@dataclasses.dataclass(frozen=True)
class Settings:
    """How claims are run."""

    scale: str = "laptop"
    seeds: int = 0  # 0: the claim's own number
    first_seed: int = 0
    placebo: bool = False  # every arm is the first variant, on seeds of its own
    inputs: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Study:
    """One claim with the settings of this call."""

    name: str
    claim: Claim
    settings: Settings

    def __post_init__(self):
        if self.settings.scale not in self.claim.scales:
            raise UserError(
                f"{self.name} has no scale {self.settings.scale}; "
                f"choices: {', '.join(self.claim.scales)}"
            )
        if missing := set(self.claim.inputs) - set(self.settings.inputs):
            name = sorted(missing)[0]
            raise UserError(f"{self.name} needs --input={name}=: {self.claim.inputs[name]}")
        self.scale = self.claim.scales[self.settings.scale]

    @property
    def seeds(self) -> list[int]:
        first, count = self.settings.first_seed, self.settings.seeds
        count = count or self.scale.seeds or self.claim.seeds
        return list(range(first, first + count))

    def job(self, variant: str, seed: int, changes: Changes) -> Job:
        """Data, order, augmentation and initial weights follow from the seed, and so does the split
        where the training images are not all used."""
        if self.settings.placebo:
            position = list(self.claim.variants).index(variant)
            variant = next(iter(self.claim.variants))
            seed += PLACEBO_SEEDS * position
        merged = {
            **self.scale.changes,
            **self.claim.variants[variant],
            **changes,
            "seed": seed,
            "data.split_seed": seed,
        }
        filled = {
            key: value.format(**self.settings.inputs) if isinstance(value, str) else value
            for key, value in merged.items()
        }
        config = self.scale.config or self.claim.config
        return Job(config, filled, self.claim.probe, self.claim.trained)

    def tuning_jobs(self, tuning: Tuning, variant: str, value: float) -> list[Job]:
        seeds = range(TUNING_SEEDS, TUNING_SEEDS + tuning.seeds)
        return [self.job(variant, seed, {tuning.key: value}) for seed in seeds]

    def tune(self, variant: str, find: Find) -> tuple[dict[str, Any] | None, list[Job]]:
        """(the changes chosen, jobs still to do): the first is None while there are some."""
        tuning = self.claim.tuning
        if tuning is None:
            return {}, []
        grid = list(tuning.grid)
        sign = 1 if tuning.by.better == "greater" else -1
        for _ in range(tuning.extensions + 1):
            jobs = [job for value in grid for job in self.tuning_jobs(tuning, variant, value)]
            if missing := [job for job in jobs if find(job) is None]:
                return None, missing
            scores = [sign * self.score(tuning, variant, value, find) for value in grid]
            best = max(range(len(grid)), key=lambda i: (scores[i], -grid[i]))
            if 0 < best < len(grid) - 1 or len(grid) >= len(tuning.grid) + tuning.extensions:
                break
            if best == 0:
                grid.insert(0, rounded(grid[0] ** 2 / grid[1]))
            else:
                grid.append(rounded(grid[-1] ** 2 / grid[-2]))
        return {tuning.key: grid[best]}, []

    def score(self, tuning: Tuning, variant: str, value: float, find: Find) -> float:
        jobs = self.tuning_jobs(tuning, variant, value)
        return statistics.fmean(tuning.by(made(find, job)) for job in jobs)

    def pending(self, find: Find) -> list[Job]:
        """The runs that can be done now; none when all are. Tuning comes first."""
        missing = []
        for variant in self.claim.variants:
            changes, jobs = self.tune(variant, find)
            if changes is not None:
                jobs = [self.job(variant, seed, changes) for seed in self.seeds]
                jobs = [job for job in jobs if find(job) is None]
            missing += jobs
        return list({job.key: job for job in missing}.values())

    def all_known(self) -> list[Job]:
        """The runs that are certain: those of tuning, or, where nothing is tuned, all."""
        return self.pending(lambda job: None)

    def records(self, find: Find) -> dict[str, list[dict[str, Any]]]:
        """{variant: its records, seed by seed}; every run must be done."""
        records = {}
        for variant in self.claim.variants:
            chosen, _ = self.tune(variant, find)
            jobs = [self.job(variant, seed, chosen or {}) for seed in self.seeds]
            records[variant] = [made(find, job) for job in jobs]
        return records

    def result(self, find: Find) -> dict[str, Any]:
        """The figures, the differences and the verdict; every run must be done."""
        claim, arms, seconds, all_records = self.claim, {}, 0.0, self.records(find)
        for variant, records in all_records.items():
            chosen, _ = self.tune(variant, find)
            values = [claim.measure(record) for record in records]
            seconds += sum(record["seconds"] for record in records)
            if claim.tuning:
                tuning, grid = claim.tuning, claim.tuning.grid
                jobs = [job for v in grid for job in self.tuning_jobs(tuning, variant, v)]
                seconds += sum(made(find, job)["seconds"] for job in jobs)
            arms[variant] = {
                "values": values,
                "mean": statistics.fmean(values),
                "deviation": statistics.stdev(values) if len(values) > 1 else 0.0,
                "diverged": sum(bool(record.get("diverged")) for record in records),
                "seconds": round(statistics.fmean(r["seconds"] for r in records), 1),
                "chosen": chosen,
            }
            if any(bounds := self.bounds(records)):
                arms[variant]["bounds"] = bounds
        differences = self.differences({name: arm["values"] for name, arm in arms.items()})
        judgement = judge(differences, claim.rule)
        ended = self.ended(all_records)
        if ended and not self.bounds_decide(ended, judgement.verdict):
            judgement = dataclasses.replace(judgement, verdict=NOT_DECIDED, seeds_needed=None)
        return {
            "statement": claim.statement,
            "scale": self.settings.scale,
            "fingerprint": claim.fingerprint(self.settings.scale),
            "measure": claim.measure.name,
            "unit": claim.measure.unit,
            "verdict": judgement.verdict,
            "effect": dataclasses.asdict(judgement.effect),
            "seeds_needed": judgement.seeds_needed,
            "seeds": self.seeds,
            "differences": differences,
            "variants": arms,
            "minutes": round(seconds / 60, 2),
            **({"ended": ended} if ended else {}),
        }

    def ended(self, records: Mapping[str, list[dict[str, Any]]]) -> dict[str, int]:
        """{variant of the contrast: its runs that ended before what is measured}, if any."""
        counts = {name: sum(self.bounds(records[name])) for name in self.claim.contrast}
        return {name: count for name, count in counts.items() if count}

    def bounds(self, records: list[dict[str, Any]]) -> list[bool]:
        """Of each run, whether it ended before what is measured, so that its value is a bound."""
        too_short = self.claim.measure.ended
        return [too_short is not None and too_short(record) for record in records]

    def bounds_decide(self, ended: Mapping[str, int], verdict: str) -> bool:
        """Whether a verdict holds though some values are bounds: where one of two sides has them,
        and is only said to be the slower."""
        one_of_two = len(ended) == 1 and len(self.claim.contrast) == 2
        return one_of_two and self.claim.rule.threshold is None and verdict != NO_EFFECT

    def differences(self, values: Mapping[str, list[float]]) -> list[float]:
        """The contrast, seed by seed; of logarithms where the rule is of a ratio."""
        rule, contrast = self.claim.rule, self.claim.contrast
        if rule.ratio and min(min(values[name]) for name in contrast) <= 0:
            raise UserError(f"{self.name}: a ratio of {self.claim.measure.name} <= 0")
        return [
            math.fsum(weight * rule.log(values[name][i]) for name, weight in contrast.items())
            for i in range(len(self.seeds))
        ]


def made(find: Find, job: Job) -> dict[str, Any]:
    """The record of a job that is done."""
    record = find(job)
    assert record is not None, job
    return record


def rounded(value: float) -> float:
    return float(f"{value:.3g}")
