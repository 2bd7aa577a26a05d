"""What of a net is trained, from when on, and at which rate: patterns resolved to parameters.

A stage is named as the paper names it: `layer1` is all of `layer1_0`, `layer1_1`, ...; `conv1` is
the convolution and its `conv1_norm`. A pattern is such a name (everything under it), or a shell
pattern (`layer[12]`, `layer4/*`, `*/bias`) on the path of a parameter, with the stage's or the
module's name in front.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fnmatch
import re
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from cnn_jax.errors import UserError, nearest, unknown
from cnn_jax.models.layers import BatchNorm
from cnn_jax.models.variables import Tree, divide, flatten

NORM_MODES = ("train", "freeze_affine", "freeze_all")
AUXILIARY_PREFIX = "auxiliary"  # how the names of training-only heads begin


def stage_name(module: str) -> str:
    """The stage of a top-level module: "layer1_0" -> "layer1", "conv1_norm" -> "conv1"."""
    return re.sub(r"_\d+$", "", re.sub(r"(?<=.)_norm$", "", module))


@dataclasses.dataclass(frozen=True)
class NetOutline:
    """A net's parameters and BatchNorms by path ("layer1_0/conv1/kernel"), and its stages."""

    stages: tuple[str, ...]  # from the image to the head
    params: tuple[str, ...]
    norms: tuple[str, ...]

    @classmethod
    def of(cls, model: nn.Module, image_shape: tuple[int, ...]) -> NetOutline:
        """By an abstract trace: nothing is computed."""
        called, norms = [], []

        def note(call: Callable, args: Any, kwargs: Any, context: Any) -> Any:
            path = context.module.path
            if path:
                called.append(path[0])
            if isinstance(context.module, BatchNorm):
                norms.append("/".join(path))
            return call(*args, **kwargs)

        images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
        with nn.intercept_methods(note):
            variables = jax.eval_shape(model.init, jax.random.key(0), images)
        params = tuple(flatten(variables["params"]))
        owners = {path.partition("/")[0] for path in params}
        stages = dict.fromkeys(stage_name(name) for name in called if name in owners)
        return cls(tuple(stages), params, tuple(dict.fromkeys(norms)))

    def distance_to_head(self, path: str) -> int:
        """How many stages lie between a parameter's and the head; 0 for heads."""
        trunk = [name for name in self.stages if not name.startswith(AUXILIARY_PREFIX)]
        name = stage_name(path.partition("/")[0])
        return len(trunk) - 1 - trunk.index(name) if name in trunk else 0

    def matching_params(self, key: str, pattern: Any) -> set[str]:
        """The parameters that a pattern names; raises `UserError` where there are none."""
        paths = {p for p in self.params if isinstance(pattern, str) and matches(pattern, p)}
        if not paths:
            raise UserError(
                f"{key}: {pattern!r} names nothing of the net{nearest(pattern, self.stages)}; "
                f"its stages: {', '.join(self.stages)}"
            )
        return paths


def matches(pattern: str, path: str) -> bool:
    """Whether a path, or what it lies in, has a name that fits."""
    module, *rest = path.split("/")
    for first in (module, stage_name(module)):
        for end in range(len(rest) + 1):
            if fnmatch.fnmatchcase("/".join([first, *rest[:end]]), pattern):
                return True
    return False


@dataclasses.dataclass(frozen=True)
class FreezePhase:
    """What is frozen from `first_step` on, until the next phase."""

    first_step: int = 0
    params: frozenset[str] = frozenset()
    norms: frozenset[str] = frozenset()  # those that use population statistics, and leave them

    def freezes(self, path: str) -> bool:
        """Of "params/conv1/kernel" or "batch_stats/conv1_norm/mean"."""
        kind, _, name = path.partition("/")
        return name in self.params if kind == "params" else name.rpartition("/")[0] in self.norms

    def partition(self, variables: dict[str, Tree]) -> tuple[dict[str, Tree], dict[str, Tree]]:
        """(what is trainable, what is frozen), each {"params", "batch_stats"}."""
        if not self.params and not self.norms:
            return variables, {kind: {} for kind in variables}
        frozen, trainable = divide(variables, self.freezes)
        return (
            {kind: trainable.get(kind, {}) for kind in variables},
            {kind: frozen.get(kind, {}) for kind in variables},
        )

    def population_norms(self) -> contextlib.AbstractContextManager:
        """Within it, `norms` normalise by population statistics although the net is training."""
        if not self.norms:
            return contextlib.nullcontext()

        def intercept(call: Callable, args: Any, kwargs: Any, context: Any) -> Any:
            module = context.module
            if "/".join(module.path) not in self.norms or context.method_name != "__call__":
                return call(*args, **kwargs)
            # A copy that stands alone: its path is empty, so that it is not caught again.
            fixed = module.clone(parent=None, use_running_average=True)
            kwargs = {key: kwargs[key] for key in kwargs if key != "use_running_average"}
            return fixed.apply(module.variables, *args, **kwargs)

        return nn.intercept_methods(intercept)


NOTHING_FROZEN = FreezePhase()


@dataclasses.dataclass(frozen=True)
class FreezePlan:
    """The phases of a run, and the parameters that do not start at once or at the common rate."""

    phases: tuple[FreezePhase, ...] = (NOTHING_FROZEN,)
    first_steps: Mapping[str, int] = dataclasses.field(default_factory=dict)  # by path
    rate_factors: Mapping[str, float] = dataclasses.field(default_factory=dict)  # by path
    # By path: from which step on it is trained no more, though its gradient is computed.
    stop_steps: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def never_trained(self) -> FreezePhase:
        """What is not trained at all."""
        return self.phases[-1]


TRAIN_ALL = FreezePlan()


def make_freeze_plan(
    config: ConfigDict, model: nn.Module, image_shape: tuple[int, ...], step_at: Callable
) -> FreezePlan:
    """The plan of a config; `step_at` turns an epoch into a step.

    Raises `UserError` for what names nothing of the net, and where nothing would be trained.
    """
    if config.freeze_norm not in NORM_MODES:
        raise unknown("freeze_norm", config.freeze_norm, NORM_MODES)
    unfreezes = parse_pairs("unfreeze", config.unfreeze)
    groups = parse_pairs("optimizer.groups", config.optimizer.groups)
    decay = config.optimizer.layer_decay
    stops = parse_pairs("freeze_after", config.get("freeze_after") or ())
    if not (config.freeze or unfreezes or groups or stops or decay != 1):
        return TRAIN_ALL
    outline = NetOutline.of(model, image_shape)
    first_steps: dict[str, int | None] = {}  # None: never trained
    for pattern in config.freeze:
        first_steps |= dict.fromkeys(outline.matching_params("freeze", pattern))
    for pattern, epoch in unfreezes:
        if epoch >= config.epochs:
            raise UserError(
                f"unfreeze: {pattern!r} at epoch {epoch:g} is not before epochs={config.epochs}"
            )
        first_steps |= dict.fromkeys(outline.matching_params("unfreeze", pattern), step_at(epoch))
    phases = [
        phase_at(step, first_steps, outline, config.freeze_norm)
        for step in phase_steps(first_steps)
    ]
    if getattr(model, "scan", False) and any(phase.norms for phase in phases):
        raise UserError(
            "freeze_norm='freeze_all' holds single BatchNorms still, and model.scan=True makes one "
            "loop of their blocks: set model.scan=False"
        )
    if phases[0].params >= set(outline.params):
        raise UserError(
            f"freeze={config.freeze!r}, unfreeze={config.unfreeze!r} leaves nothing to train at "
            f"the start; stages of {config.model.name}: {', '.join(outline.stages)}"
        )
    rate_factors = (
        {path: decay ** outline.distance_to_head(path) for path in outline.params}
        if decay != 1
        else {}
    )
    for pattern, factor in groups:
        for path in outline.matching_params("optimizer.groups", pattern):
            rate_factors[path] = factor * (decay ** outline.distance_to_head(path))
    frozen_at_times = {path for phase in phases for path in phase.params}
    never_trained = phases[-1].params
    return FreezePlan(
        tuple(phases),
        {p: s for p, s in first_steps.items() if s is not None and p in frozen_at_times},
        {p: factor for p, factor in rate_factors.items() if p not in never_trained},
        {
            path: step_at(epoch)
            for pattern, epoch in stops
            for path in outline.matching_params("freeze_after", pattern) - never_trained
        },
    )


def parse_pairs(key: str, entries: Any) -> list[tuple[str, float]]:
    """(("layer4", 2.0), ...) checked; one pair may stand alone."""
    if len(entries) == 2 and isinstance(entries[0], str):
        entries = (entries,)
    for entry in entries:
        fits = isinstance(entry, tuple | list) and len(entry) == 2 and isinstance(entry[0], str)
        number = entry[1] if fits else None
        if isinstance(number, bool) or not isinstance(number, int | float) or not number > 0:
            raise UserError(f"{key}: {entry!r} is no pair of a stage and a number > 0")
    return [(name, float(number)) for name, number in entries]


def phase_steps(first_steps: Mapping[str, int | None]) -> list[int]:
    """The first steps of all phases, from those of the parameters."""
    return sorted({0, *(step for step in first_steps.values() if step is not None)})


def phase_at(
    step: int, first_steps: Mapping[str, int | None], outline: NetOutline, norm_mode: str
) -> FreezePhase:
    """What is frozen at a step: all that is trained later, or never (None)."""
    frozen = {path for path, first in first_steps.items() if first is None or first > step}
    frozen_norms = {}  # BatchNorm -> its scale and bias, all of which are frozen
    for norm in outline.norms:
        affine = {path for path in outline.params if path.rpartition("/")[0] == norm}
        if affine and affine <= frozen:
            frozen_norms[norm] = affine
    if norm_mode == "train":
        frozen -= set().union(*frozen_norms.values())
    norms = frozen_norms if norm_mode == "freeze_all" else ()
    return FreezePhase(step, frozenset(frozen), frozenset(norms))


def describe_plan(
    plan: FreezePlan, outline: NetOutline, sizes: Mapping[str, int], norm_mode: str
) -> list[str]:
    """The plan in words; `sizes` are those of all parameters by path."""
    lines = []
    for i, phase in enumerate(plan.phases):
        if not phase.params:
            if len(plan.phases) > 1:
                lines.append(f"from step {phase.first_step:,}: everything is trained")
            continue
        by_stage: dict[str, list[bool]] = {name: [] for name in outline.stages}
        for path in outline.params:
            by_stage[stage_name(path.partition("/")[0])].append(path in phase.params)
        names = [n if all(part) else f"{n} (in part)" for n, part in by_stage.items() if any(part)]
        count = sum(sizes[path] for path in phase.params)
        when = f"from step {phase.first_step:,}: " if i else ""
        lines.append(
            f"{when}frozen: {', '.join(names)}; {sum(sizes.values()) - count:,} parameters are "
            f"trained; BatchNorm there: {norm_mode}"
        )
    return lines
