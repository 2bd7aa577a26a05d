"""What a trace of the net in training shows before the data is read: heads, and lame norms.

The trace holds the initialisation too, so that a run need not trace its net once more for it.

A normalisation over one value subtracts that value from itself: it puts out its bias, and nothing
before it learns. How many values there are depends on layer, batch and image together, so that it
is counted where the net is traced.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from cnn_jax import models, ops
from cnn_jax.errors import UserError
from cnn_jax.models.layers import BatchNorm
from cnn_jax.models.variables import Tree, init_variables, params_and_stats
from cnn_jax.runtime import fresh_values
from cnn_jax.runtime.rng_streams import rng_stream
from cnn_jax.transfer.freezing import TRAIN_ALL, FreezePlan

ENOUGH = 5  # values of which statistics can be taken; over fewer there is a warning


@dataclasses.dataclass(frozen=True)
class NormSize:
    """How many values one normalisation of a net takes its mean and variance over."""

    path: str
    by_batch: bool  # whether more images give more values
    values: int


@dataclasses.dataclass(frozen=True)
class NetTrace:
    """What a net does in training with so many images at once."""

    norms: tuple[NormSize, ...]  # in the order of the calls
    outputs: int  # of each head
    auxiliary: int  # heads beside the net's own
    fresh: Callable[[int | jax.Array], dict[str, Tree]]  # `init_variables` of a seed


@functools.lru_cache(8)
def trace(model: nn.Module, image_shape: tuple[int, ...], images: int) -> NetTrace:
    """By an abstract trace: nothing is computed. Raises `UserError` for an image too small."""
    norms: dict[str, NormSize] = {}

    def note(call: Callable, args: Any, kwargs: Any, context: Any) -> Any:
        module, path = context.module, "/".join(context.module.path)
        if context.method_name == "__call__" and (found := norm_size(module, path, *args)):
            least = norms.get(path, found)
            norms[path] = min(least, found, key=lambda norm: norm.values)
        return call(*args, **kwargs)

    def start(key: jax.Array, batch: jax.Array) -> Any:
        keys = {"params": key, "dropout": key}
        with nn.intercept_methods(note), ops.shapes_alone():
            output, variables = model.init_with_output(keys, batch, train=True)
        return params_and_stats(variables), output

    key = jax.eval_shape(lambda: jax.random.key(0))
    batch = jax.ShapeDtypeStruct((images, *image_shape), jnp.float32)
    program, (variables, output) = jax.make_jaxpr(start, return_shape=True)(key, batch)
    of_key = fresh_values.first_results(program, variables)

    def fresh(seed: int | jax.Array) -> dict[str, Tree]:
        if of_key is None:  # as in the loop over the blocks of a scanned net
            return init_variables(model, seed, image_shape)
        return of_key(rng_stream(seed, "init"))

    return NetTrace(tuple(norms.values()), output.logits.shape[-1], len(output.auxiliary), fresh)


def norm_size(module: nn.Module, path: str, *args: Any) -> NormSize | None:
    """That of one call of a normalisation; None for any other module."""
    if isinstance(module, BatchNorm):
        if module.use_running_average:
            return None
        return NormSize(path, True, args[0].size // args[0].shape[-1])
    if isinstance(module, nn.GroupNorm) and module.num_groups:
        return NormSize(path, False, args[0][0].size // module.num_groups)
    if isinstance(module, nn.LayerNorm):
        return NormSize(path, False, args[0].shape[-1])
    return None


def check_auxiliary(config: ConfigDict, heads: int) -> None:
    """Raises `UserError` where a head of the net has no weight."""
    weights = tuple(config.loss.auxiliary_weights)
    if heads > len(weights):
        advice = (0.3,) * heads
        raise UserError(
            f"loss.auxiliary_weights={weights} has {len(weights)} entries, but the net has "
            f"{heads} auxiliary heads: give each its weight, like loss.auxiliary_weights={advice}"
        )


def check_norms(
    config: ConfigDict,
    model: nn.Module,
    image_shape: tuple[int, ...],
    replicas: int,
    plan: FreezePlan = TRAIN_ALL,
) -> list[str]:
    """Warnings of norms over few values; raises `UserError` for one over a single value.

    `replicas` are the devices of which each normalises its own images. A norm that a phase of the
    `plan` holds to its population statistics takes none of the batch.
    """
    parts = config.accumulate * replicas
    images = config.batch_size // parts
    held = frozenset.intersection(*(phase.norms for phase in plan.phases))
    norms = [n for n in trace(model, image_shape, images).norms if n.path not in held]
    few = [norm for norm in norms if norm.values < ENOUGH]
    if not few:
        return []
    worst = min(few, key=lambda norm: norm.values)
    where = f"{worst.path!r} of {config.model.name} takes mean and variance over "
    where += "one value" if worst.values == 1 else f"{worst.values} values"
    keys = reasons(config, image_shape, replicas) if worst.by_batch else size_of(image_shape)
    advice = enough_images(worst, images, parts) if worst.by_batch else other_norm(config, worst)
    if worst.values == 1:
        raise UserError(
            f"{where} ({keys}): it puts out its bias alone, and nothing before it learns; {advice}"
        )
    others = f", and {len(few) - 1} others over fewer than {ENOUGH}" if len(few) > 1 else ""
    return [f"{where} ({keys}){others}: rough statistics; {advice}"]


def reasons(config: ConfigDict, image_shape: tuple[int, ...], replicas: int) -> str:
    """The keys that make the batch of a BatchNorm, those of them that make it smaller."""
    words = [f"batch_size={config.batch_size}"]
    if config.accumulate > 1:
        words.append(f"accumulate={config.accumulate}")
    if replicas > 1:
        words.append(f"{replicas} parts by parallel={config.parallel!r}")
    return ", ".join([*words, size_of(image_shape)])


def size_of(image_shape: tuple[int, ...]) -> str:
    return f"data.image_size={image_shape[0]}"


def enough_images(norm: NormSize, images: int, parts: int) -> str:
    """The smallest batch that gives `norm` enough values."""
    wanted = -(-ENOUGH * images // norm.values)
    return f"choose batch_size={wanted * parts} or more"


def other_norm(config: ConfigDict, norm: NormSize) -> str:
    options = models.REGISTRY[config.model.name].options()
    if "norm" not in options:
        return "choose a larger data.image_size"
    kind = config.model.get("norm") or options["norm"].default
    return f"choose model.norm='{'none' if kind == 'layer' else 'layer'}'"
